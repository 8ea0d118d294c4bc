"""Whether the data on a worker's disk are the study's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.data.datafile import parse
from runner.data.guard import data_proof, moved, root_for
from runner.data.prepare import prepare
from runner.errors import UserError
from runner.protocol import DataPaths

NUCLEI = Path(__file__).parents[2] / "data" / "nuclei"
HALVES = {half: {"images": half, "annotations": f"{half}.json"} for half in ("train", "val")}


@pytest.fixture
def data(tmp_path: Path) -> DataPaths:
    folder = tmp_path / "there"
    shutil.copytree(NUCLEI, folder)
    described, problems = parse({"name": "nuclei", **HALVES}, folder, folder / "data.yaml")
    assert described and not problems
    return prepare(described, tmp_path / "labels")


def test_data_that_were_copied_are_the_same(data: DataPaths, tmp_path: Path) -> None:
    shutil.copytree(data.root, tmp_path / "here")
    here = moved(data, tmp_path / "here")
    assert here.train_images == str(tmp_path / "here" / "train")
    assert data_proof(here) == data.check == data_proof(data)


@pytest.mark.parametrize("change", ["a picture", "a label", "one picture fewer"])
def test_what_differs_is_seen(data: DataPaths, change: str) -> None:
    picture = next(Path(data.val_images).iterdir())
    if change == "a picture":
        picture.write_bytes(picture.read_bytes() + b"\0")
    elif change == "a label":
        labels = Path(data.train_annotations)
        labels.write_text(labels.read_text().replace('"id": 1,', '"id": 100001,', 1))
    else:
        picture.unlink()
        with pytest.raises(UserError, match=f"{picture.name}: no such file or directory"):
            data_proof(data)
        return
    assert data_proof(data) != data.check


def test_images_outside_the_data_file_s_folder_have_no_place_elsewhere(data: DataPaths, tmp_path: Path) -> None:
    outside = data.model_copy(update={"val_images": "/elsewhere/val"})
    with pytest.raises(UserError, match="its images lie in /elsewhere/val, outside the data file's folder"):
        moved(outside, tmp_path)


def test_a_study_s_own_root_comes_before_the_one_for_all() -> None:
    roots = {"": Path("/all"), "models": Path("/models")}
    assert (root_for("models", roots), root_for("other", roots)) == (Path("/models"), Path("/all"))
    assert root_for("other", {}) is None
