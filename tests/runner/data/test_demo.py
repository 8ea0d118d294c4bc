from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner.data.demo import demo_data
from runner.errors import UserError

CODE = (
    "import sys; from pathlib import Path; from runner.data.demo import demo_data\n"
    "print(demo_data(Path(sys.argv[1]), 'tiny'))"
)


def test_two_processes_make_it_once(tmp_path: Path) -> None:
    both = [
        subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = {process.communicate(timeout=120)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert answers == {str(tmp_path / "particles-tiny-2" / "data.yaml")}
    folder = tmp_path / "particles-tiny-2"
    sizes = [len(list((folder / split).iterdir())) for split in ("train", "val", "test", "holdout")]
    assert sizes == [40, 16, 4, 16]
    image = json.loads((folder / "train.json").read_text())["images"][0]
    assert (image["height"], image["width"]) == (256, 320)

    before = (folder / "data.yaml").stat().st_mtime_ns
    demo_data(tmp_path, "tiny")
    assert (folder / "data.yaml").stat().st_mtime_ns == before


def test_what_was_half_deleted_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "particles-tiny-2" / "train").mkdir(parents=True)
    assert demo_data(tmp_path, "tiny").is_file()


def test_a_cache_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "data"
    with pytest.raises(UserError) as caught:
        demo_data(folder, "tiny")
    assert str(caught.value) == (
        f"{folder} cannot be written: not a directory; XDG_CACHE_HOME names another cache folder"
    )
