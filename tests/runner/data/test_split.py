from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.data import coco
from runner.data.datafile import Split
from runner.data.files import write_picture
from runner.data.labels import Labels
from runner.data.split import part_of, taken
from runner.errors import UserError

Document = dict[str, Any]
Write = Callable[[Document], Path]


def many(folder: Path, labels: Write, sound: Document, number: int, bare: int = 0) -> Document:
    """A document of ``number`` images with a label and ``bare`` ones without."""
    sound["images"] = []
    for i in range(number + bare):
        write_picture(folder / "train" / f"p{i}.png", np.zeros((40, 60), np.uint8))
        sound["images"].append({"id": i, "file_name": f"p{i}.png", "width": 60, "height": 40})
    first = sound["annotations"][0]
    sound["annotations"] = [{**first, "id": i, "image_id": i} for i in range(number)]
    return sound


def checked(labels: Write, document: Document) -> Labels:
    path = labels(document)
    return coco.check(path, path.parent / "train")


def names(labels: Labels, split: Split) -> set[str]:
    return {labels.names[image] for image in taken(labels, split)}


def test_share_and_seed(tmp_path: Path, labels: Write, sound: Document) -> None:
    whole = checked(labels, many(tmp_path, labels, sound, 20))
    zero = names(whole, Split(0.2, 0))
    assert len(zero) == 4
    assert zero == names(whole, Split(0.2, 0))
    assert zero != names(whole, Split(0.2, 1))
    assert zero < names(whole, Split(0.4, 0))
    assert zero == {"p13.png", "p18.png", "p5.png", "p7.png"}  # the same on every machine, for good


def test_order_and_ids_do_not_matter(tmp_path: Path, labels: Write, sound: Document) -> None:
    document = many(tmp_path, labels, sound, 12)
    before = names(checked(labels, document), Split(0.25, 5))
    for image in document["images"]:
        image["id"] += 100
    for annotation in document["annotations"]:
        annotation["image_id"] += 100
    document["images"].reverse()
    document["annotations"].reverse()
    assert names(checked(labels, document), Split(0.25, 5)) == before


def test_either_side_has_labels(tmp_path: Path, labels: Write, sound: Document) -> None:
    for share in (0.01, 0.99):
        whole = checked(labels, many(tmp_path, labels, sound, 2, bare=10))
        val = taken(whole, Split(share, 0))
        assert len(val & {0, 1}) == 1
        assert len(val) == 1 + round(10 * share)


def test_one_labelled_image_cannot_be_split(tmp_path: Path, labels: Write, sound: Document) -> None:
    whole = checked(labels, many(tmp_path, labels, sound, 1, bare=3))
    message = f"val.split: a split takes at least 2 images with labels, {whole.path} has 1"
    with pytest.raises(UserError) as error:
        taken(whole, Split(0.5, 0))
    assert str(error.value) == message


def test_parts_share_nothing_and_lose_nothing(labels: Write, sound: Document) -> None:
    sound["info"] = {"description": "kept"}
    one, two = part_of(sound, frozenset({1})), part_of(sound, frozenset({2, 3}))
    assert one["info"] == two["info"] == sound["info"] and one["categories"] == sound["categories"]
    assert one["images"] + two["images"] == sound["images"]
    assert one["annotations"] + two["annotations"] == sound["annotations"]
