from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.data.datafile import DataFile, Images, LabelledImages, Split, parse
from runner.errors import Problem


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "particles"
    for name in ("train", "val", "test"):
        (folder / name).mkdir(parents=True)
    for name in ("label(polygon)train.json", "label_train.json", "val.json"):
        (folder / name).write_text("{}")
    return folder


TRAIN = {"images": "train", "annotations": "label_train.json"}
VAL = {"images": "val", "annotations": "val.json"}


def test_everything(base: Path) -> None:
    data, problems = parse(
        {"name": "mine", "train": TRAIN, "val": VAL, "test": {"images": "test"}, "classes": ["Normal"]}, base
    )
    assert not problems
    assert data == DataFile(
        name="mine",
        train=LabelledImages(base / "train", base / "label_train.json"),
        val=LabelledImages(base / "val", base / "val.json"),
        test=Images(base / "test"),
        classes=("Normal",),
    )


def test_hackathon_names_split_and_defaults(base: Path) -> None:
    train = {"images": "train", "annotations": "label(polygon)train.json"}
    data, problems = parse({"train": train, "val": {"split": 0.2}}, base, base / "data.yaml")
    assert not problems and data is not None
    assert data.name == "particles"  # the folder's
    assert data.train.annotations == base / "label(polygon)train.json"
    assert data.val == Split(0.2, 0)
    assert data.classes is None and data.test is None and data.path == base / "data.yaml"


def test_absolute_paths(base: Path, tmp_path: Path) -> None:
    train = {"images": str(base / "train"), "annotations": str(base / "label_train.json")}
    data, _ = parse({"train": train, "val": {"split": 0.5, "seed": 3}}, tmp_path)
    assert data and data.train.images == base / "train"


def problems_of(document: object, base: Path) -> list[Problem]:
    data, problems = parse(document, base)
    assert data is None
    return problems


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"trian": 1},
            Problem("trian", "unknown key; known are name, train, val, holdout, test, classes", "did you mean train?"),
        ),
        ({"name": 3}, Problem("name", "expected a name, found 3")),
        ({"train": None}, Problem("train", "expected {images: FOLDER, annotations: FILE}, found nothing")),
        ({"train": "train"}, Problem("train", "expected {images: FOLDER, annotations: FILE}, found 'train'")),
        (
            {"train": TRAIN | {"image": "x"}},
            Problem("train.image", "unknown key; known are images, annotations", "did you mean images?"),
        ),
        (
            {"train": {"images": "train"}},
            Problem("train.annotations", "expected the path of a file, it is missing"),
        ),
        ({"train": TRAIN | {"images": 7}}, Problem("train.images", "expected the path of a folder, found 7")),
        (
            {"val": {"split": 1.5}},
            Problem("val.split", "expected a share of the training images between 0 and 1, found 1.5", "write 0.2"),
        ),
        (
            {"val": {"split": True}},
            Problem(
                "val.split",
                "expected a share of the training images between 0 and 1, found True",
                "write 0.2",
            ),
        ),
        (
            {"val": {"split": 0.2, "seed": -1}},
            Problem("val.seed", "expected a whole number from 0, found -1", "write 0"),
        ),
        (
            {"val": {"split": 0.2, "images": "val"}},
            Problem("val.images", "unknown key; known are split, seed"),
        ),
        (
            {"val": VAL | {"seed": 1}},
            Problem("val.seed", "goes with split only; images with a label file of their own are not drawn"),
        ),
        ({"classes": "Normal"}, Problem("classes", "expected a list of names, found 'Normal'")),
        ({"classes": []}, Problem("classes", "expected a list of names, found an empty list")),
        ({"classes": ["A", "B", "A"]}, Problem("classes", "A is named twice")),
        ({"test": {}}, Problem("test.images", "expected the path of a folder, it is missing")),
    ],
)
def test_mistakes(base: Path, change: dict[str, Any], expected: Problem) -> None:
    assert problems_of({"train": TRAIN, "val": VAL} | change, base) == [expected]


def test_missing_paths(base: Path) -> None:
    assert problems_of({"train": {"images": "trian", "annotations": "label_tran.json"}, "val": VAL}, base) == [
        Problem("train.images", f"no such folder: {base}/trian", "did you mean train?"),
        Problem("train.annotations", f"no such file: {base}/label_tran.json", "did you mean label_train.json?"),
    ]
    assert problems_of({"train": TRAIN | {"images": "val.json"}, "val": VAL}, base) == [
        Problem("train.images", f"expected a folder, {base}/val.json is none")
    ]


def test_missing_parts_are_all_reported(base: Path) -> None:
    assert problems_of({}, base) == [
        Problem("train", "is missing; expected {images: FOLDER, annotations: FILE}"),
        Problem("val", "is missing; expected {images: FOLDER, annotations: FILE}, or {split: SHARE, seed: N}"),
    ]
    assert problems_of(["train"], base) == [
        Problem("", "expected a mapping with train and val, found the list ['train']")
    ]


def test_a_folder_that_nobody_may_enter(elsewhere: Path) -> None:
    (elsewhere / "sealed" / "train").mkdir(parents=True)
    (elsewhere / "sealed").chmod(0)
    train = {"images": "sealed/train", "annotations": "x.json"}
    found = problems_of({"train": train, "val": {"split": 0.2}}, elsewhere)
    (elsewhere / "sealed").chmod(0o700)
    denied = f"{elsewhere}/sealed/train cannot be read: permission denied"
    assert found[0] == Problem("train.images", denied, "allow reading it (chmod a+rX)")
