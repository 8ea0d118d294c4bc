from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.data.datafile import DataFile, LabelledImages, Split, parse
from runner.data.prepare import prepare
from runner.data.report import check_data
from runner.errors import UserError

Document = dict[str, Any]
Write = Callable[[Document], Path]
NUCLEI = Path(__file__).parents[2] / "data" / "nuclei"


def nuclei() -> DataFile:
    data, problems = parse(
        {
            "train": {"images": "train", "annotations": "train.json"},
            "val": {"images": "val", "annotations": "val.json"},
        },
        NUCLEI,
    )
    assert data, problems
    return data


def halved(path: Path, share: float = 0.34, seed: int = 0, classes: tuple[str, ...] | None = None) -> DataFile:
    train = LabelledImages(path.parent / "train", path)
    return DataFile("mine", train, Split(share, seed), None, classes, path.parent / "data.yaml")


def test_labels_that_serve_are_used_as_they_are(tmp_path: Path) -> None:
    paths = prepare(nuclei(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert paths.train_annotations == str(NUCLEI / "train.json")
    assert paths.val_images == str(NUCLEI / "val")
    assert (paths.name, paths.classes, paths.sizes) == ("nuclei", ("nucleus",), (128, 128))
    assert (paths.n_train, paths.n_val, paths.max_instances) == (12, 4, 16)
    low, middle, high = paths.object_sizes
    assert 5 < low < middle < high < 30


def test_split(tmp_path: Path, labels: Write, sound: Document) -> None:
    path = labels(sound)
    paths = prepare(halved(path), tmp_path / "out")
    train, val = (json.loads(Path(p).read_text()) for p in (paths.train_annotations, paths.val_annotations))
    assert (paths.n_train, paths.n_val) == (2, 1) == (len(train["images"]), len(val["images"]))
    assert paths.train_images == paths.val_images == str(tmp_path / "train")
    both = sorted(train["annotations"] + val["annotations"], key=lambda annotation: annotation["id"])
    assert both == sound["annotations"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"train-{paths.hash[:12]}.json",
        f"val-{paths.hash[:12]}.json",
    ]
    assert prepare(halved(path), tmp_path / "out") == paths


def test_hash_follows_the_data_and_not_its_place(tmp_path: Path, labels: Write, sound: Document) -> None:
    path, out = labels(sound), tmp_path / "out"
    before = prepare(halved(path), out).hash
    hashes = {before}

    def changed(data: DataFile) -> None:
        new = prepare(data, out).hash
        assert new not in hashes
        hashes.add(new)

    changed(halved(path, share=0.67))
    changed(halved(path, seed=1))
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "train", moved / "train")
    shutil.copy(path, moved)
    assert prepare(halved(moved / path.name), out).hash == before
    image = tmp_path / "train" / "a.png"
    image.write_bytes(image.read_bytes() + b"\0")
    changed(halved(path))
    sound["annotations"][0]["area"] = 99
    changed(halved(labels(sound)))
    image.rename(image.with_name("z.png"))
    sound["images"][0]["file_name"] = "z.png"
    changed(halved(labels(sound)))


def test_hash_of_labelled_validation(tmp_path: Path) -> None:
    folder = tmp_path / "nuclei"
    shutil.copytree(NUCLEI, folder)
    data, _ = parse(
        {
            "train": {"images": "train", "annotations": "train.json"},
            "val": {"images": "val", "annotations": "val.json"},
        },
        folder,
    )
    assert data
    before = prepare(data, tmp_path / "out").hash
    assert before == prepare(nuclei(), tmp_path / "out").hash
    (folder / "val.json").write_text((folder / "val.json").read_text() + "\n")
    assert prepare(data, tmp_path / "out").hash != before


def test_classes_count_in_the_hash(tmp_path: Path, labels: Write, sound: Document) -> None:
    sound["categories"].append({"id": 2, "name": "Debris"})
    path = labels(sound)
    one, all_ = prepare(halved(path, classes=("Normal",)), tmp_path), prepare(halved(path), tmp_path)
    assert one.classes == ("Normal",) and all_.classes == ("Normal", "Debris")
    assert one.hash != all_.hash


def test_what_is_missing_is_filled_in(tmp_path: Path, labels: Write, sound: Document) -> None:
    expected = json.loads(json.dumps(sound))
    for image in sound["images"]:
        del image["width"], image["height"]
    for annotation in sound["annotations"]:
        del annotation["area"], annotation["bbox"], annotation["iscrowd"]
    path = labels(sound)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    val = LabelledImages(tmp_path / "val", tmp_path / "val.json")
    shutil.copytree(tmp_path / "train", tmp_path / "val")
    val.annotations.write_text(json.dumps(expected))
    data = DataFile("mine", LabelledImages(tmp_path / "train", path), val)
    paths = prepare(data, tmp_path / "out")
    assert paths.val_annotations == str(val.annotations)
    assert json.loads(Path(paths.train_annotations).read_text()) == expected


def test_fatal_problems_are_one_line(tmp_path: Path, labels: Write, sound: Document) -> None:
    sound["annotations"][0]["segmentation"] = []
    data = halved(labels(sound))
    with pytest.raises(UserError) as error:
        prepare(data, tmp_path / "out")
    assert str(error.value) == (
        f"{tmp_path}/train.json: annotations[0].segmentation: annotation 11 of a.png: empty polygon;"
        f" remove the annotation, or draw it again (run: sweep data check {tmp_path}/data.yaml)"
    )
    sound["annotations"][1]["category_id"] = 3
    sound["annotations"][2]["category_id"] = 3
    with pytest.raises(UserError, match=r" \(2 more problems, run: sweep data check "):
        prepare(halved(labels(sound)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path, labels: Write, sound: Document) -> None:
    path = labels(sound)
    with pytest.raises(UserError) as error:
        prepare(halved(path), path / "out")
    assert str(error.value) == f"{path}/out cannot be written: Not a directory"


def test_validation_images_among_the_training_images(tmp_path: Path, labels: Write, sound: Document) -> None:
    path = labels(sound)
    other = tmp_path / "val.json"
    sound["categories"].insert(0, {"id": 2, "name": "Debris"})
    sound["images"].pop()
    sound["annotations"].pop()
    other.write_text(json.dumps(sound))
    train = LabelledImages(tmp_path / "train", path)
    report = check_data(DataFile("mine", train, LabelledImages(tmp_path / "train", other)))
    assert [finding.text() for finding in report.fatal] == [
        f"{other}: categories: classes Debris, Normal here, Normal in {path};"
        " list the same categories in the same order",
        f"{other}: images: 2 images also in the training set, so the score would lie: a.png, b.png;"
        " take them out of one of the two",
    ]


def test_too_few_images_to_split(tmp_path: Path, labels: Write, sound: Document) -> None:
    sound["annotations"] = sound["annotations"][:2]
    path = labels(sound)
    with pytest.raises(UserError) as error:
        prepare(halved(path), tmp_path)
    assert str(error.value).startswith(
        f"{path}: val.split: a split takes at least 2 images with labels, {path} has 1 (run:"
    )


def test_broken_test_pictures_are_warnings(tmp_path: Path, labels: Write, sound: Document) -> None:
    path = labels(sound)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "x.png").write_bytes(b"x")
    data, _ = parse(
        {
            "train": {"images": "train", "annotations": path.name},
            "val": {"split": 0.3},
            "test": {"images": "test"},
        },
        tmp_path,
    )
    assert data
    report = check_data(data)
    assert [f.text() for f in report.findings] == [
        f"{tmp_path}/test: x.png: is no picture that can be read; copy or download it again"
    ]
    assert not report.fatal
