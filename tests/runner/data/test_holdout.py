"""``holdout:`` in a data file: labelled images that are in no other part, and in the study's identity."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.data.datafile import DataFile, LabelledImages, Split, parse
from runner.data.files import write_picture
from runner.data.guard import fingerprint
from runner.data.prepare import prepare
from runner.data.report import check_data
from runner.errors import UserError

Write = Callable[[dict[str, Any]], Path]
NUCLEI = Path(__file__).parents[2] / "data" / "nuclei"
HALVES = {
    "train": {"images": "train", "annotations": "train.json"},
    "val": {"images": "val", "annotations": "val.json"},
}


def nuclei(**parts: Any) -> DataFile:
    data, problems = parse({**HALVES, **parts}, NUCLEI)
    assert data, problems
    return data


def names(path: str) -> set[str]:
    return {image["file_name"] for image in json.loads(Path(path).read_text())["images"]}


def test_both_splits_take_from_the_training_images_and_share_none(tmp_path: Path) -> None:
    share = {"split": 0.25, "seed": 3}
    paths = prepare(nuclei(val=share, holdout=share), tmp_path)
    assert paths.holdout is not None
    parts = [names(one) for one in (paths.train_annotations, paths.val_annotations, paths.holdout.annotations)]
    assert [len(part) for part in parts] == [paths.n_train, paths.n_val, paths.holdout.count] == [7, 2, 3]
    assert set.union(*parts) == names(str(NUCLEI / "train.json")) and sum(map(len, parts)) == 12


def test_what_is_held_out_does_not_follow_the_validation_split(tmp_path: Path) -> None:
    held = [
        names(prepare(nuclei(val={"split": share}, holdout={"split": 0.3}), tmp_path).holdout.annotations)  # type: ignore[union-attr]
        for share in (0.2, 0.5)
    ]
    assert held[0] == held[1]


def test_it_is_part_of_the_identity_and_fits_nothing(tmp_path: Path, labels: Write, sound: dict[str, Any]) -> None:
    path = labels(sound)
    plain = DataFile("mine", LabelledImages(tmp_path / "train", path), Split(0.4))
    crowded = json.loads(json.dumps(sound))
    crowded["annotations"] += [{**crowded["annotations"][0], "id": 100 + n} for n in range(20)]
    for name in names(str(path)):
        shade = np.random.default_rng(1).integers(0, 255, (40, 60), np.uint8)
        write_picture(tmp_path / "kept" / name, shade)
    (tmp_path / "kept.json").write_text(json.dumps(crowded))
    held = replace(plain, holdout=LabelledImages(tmp_path / "kept", tmp_path / "kept.json"))
    before, after = prepare(plain, tmp_path / "out"), prepare(held, tmp_path / "out")
    assert before.hash != after.hash
    assert after.max_instances == before.max_instances == 2, "detections are fitted to what trials see"
    assert after.check == before.check, "a worker needs none of it"
    assert after.holdout and after.holdout.check == fingerprint(tmp_path / "kept", tmp_path / "kept.json")
    (tmp_path / "kept.json").write_text(json.dumps(crowded) + " ")
    assert prepare(held, tmp_path / "out").hash != after.hash


def leaks(data: DataFile) -> list[str]:
    return [finding.text() for finding in check_data(data).fatal]


@pytest.mark.parametrize(("part", "name"), [("train", "training"), ("val", "validation")])
def test_an_image_that_trials_see_is_refused(part: str, name: str) -> None:
    found = leaks(nuclei(holdout=HALVES[part]))
    assert len(found) == 1
    assert found[0].startswith(f"{NUCLEI}/{part}.json: images: ")
    assert f"also in the {name} set, so the score would lie" in found[0]
    with pytest.raises(UserError, match=f"also in the {name} set"):
        prepare(nuclei(holdout=HALVES[part]), Path("nowhere"))


def test_a_copy_under_another_name_is_refused_as_well(tmp_path: Path) -> None:
    document = json.loads((NUCLEI / "val.json").read_text())
    for number, image in enumerate(document["images"]):
        copy = f"new_{number}.png"
        (tmp_path / "kept").mkdir(exist_ok=True)
        shutil.copy(NUCLEI / "val" / image["file_name"], tmp_path / "kept" / copy)
        image["file_name"] = copy
    (tmp_path / "kept.json").write_text(json.dumps(document))
    held = replace(nuclei(), holdout=LabelledImages(tmp_path / "kept", tmp_path / "kept.json"))
    assert [line.split("images: ")[1].split(" also")[0] for line in leaks(held)] == ["4 images"]
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(path.read_bytes() + b"\0")
    assert leaks(held) == []


def test_mistakes_are_lines(tmp_path: Path) -> None:
    def problems(held: Any) -> list[str]:
        return [f"{one.key}: {one.message}" for one in parse({**HALVES, "holdout": held}, NUCLEI)[1]]

    assert problems(None) == ["holdout: expected {images: FOLDER, annotations: FILE}, found nothing"]
    assert problems({"images": "val"}) == ["holdout.annotations: expected the path of a file, it is missing"]
    assert problems({"split": 1.5}) == [
        "holdout.split: expected a share of the training images between 0 and 1, found 1.5"
    ]
    assert problems({"split": 0.2, "seeds": 1}) == ["holdout.seeds: unknown key; known are split, seed"]
    with pytest.raises(UserError, match=r"val\.split: a split takes at least 2 images with labels, .* has 1 left"):
        prepare(nuclei(val={"split": 0.5}, holdout={"split": 0.9}), tmp_path)
