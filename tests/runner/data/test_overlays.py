from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.datafile import DataFile, LabelledImages, Split
from runner.data.files import read_picture, write_picture
from runner.data.overlays import write_overlays
from runner.data.report import check_data

Document = dict[str, Any]
Write = Callable[[Document], Path]


def test_overlays_with_korean_names(tmp_path: Path, labels: Write, sound: Document) -> None:
    write_picture(tmp_path / "train" / "입자 1.png", np.full((40, 60), 128, np.uint8))
    sound["images"][0]["file_name"] = "입자 1.png"
    sound["annotations"][1]["iscrowd"] = 1
    path = labels(sound)
    data = DataFile("mine", LabelledImages(tmp_path / "train", path), Split(0.34, 0))
    seen: list[tuple[int, int]] = []
    out = tmp_path / "겹침"
    written = write_overlays(check_data(data), out, 6, lambda done, of: seen.append((done, of)))
    assert sorted(written) == sorted(out.iterdir()) and len(written) == 3
    assert {path.name.split("_", 1)[1] for path in written} == {"입자 1.png", "b.png", "c.png"}
    assert seen == [(1, 3), (2, 3), (3, 3)]
    picture = read_picture(next(path for path in written if "입자" in path.name))
    zoom = 11  # 60 pixels to at least 640
    assert picture.shape[1] == 60 * zoom and picture.shape[0] > 40 * zoom
    blue, green, red = (int(n) for n in picture[10 * zoom, 10 * zoom])
    assert max(blue, green, red) - min(blue, green, red) > 20  # tinted
    assert np.ptp(picture[25 * zoom, 35 * zoom].astype(int)) <= 2  # a crowd region is grey
    assert np.ptp(picture[2 * zoom, 2 * zoom].astype(int)) <= 2  # what has no label stays


def test_as_many_as_asked_for(tmp_path: Path, labels: Write, sound: Document) -> None:
    data = DataFile("mine", LabelledImages(tmp_path / "train", labels(sound)), Split(0.34, 0))
    assert len(write_overlays(check_data(data), tmp_path / "o", 1)) == 2  # one of each part
    assert write_overlays(check_data(data), tmp_path / "none", 0) == []
    assert not (tmp_path / "none").exists()
