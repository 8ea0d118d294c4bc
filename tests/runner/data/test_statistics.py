from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from runner.data import coco, masks
from runner.data.statistics import compute

Document = dict[str, Any]
Write = Callable[[Document], Path]
NUCLEI = Path(__file__).parents[2] / "data" / "nuclei"


def at(annotation: Document, x: float, y: float, side: float = 10) -> Document:
    points = [x, y, x + side, y, x + side, y + side, x, y + side]
    return annotation | {"bbox": [x, y, side, side], "segmentation": [points], "area": side * side}


def test_figures_by_hand(labels: Write, sound: Document) -> None:
    one, two, three, four = sound["annotations"]
    sound["annotations"] = [
        at(one, 5, 5),
        at(two, 12, 5),  # shares 3 x 10 pixels with the first
        at(three, 5, 5) | {"image_id": 1, "id": 30} | at({}, 23, 5),  # one pixel between it and the second
        at(four, 5, 5) | {"image_id": 2, "id": 31} | at({}, 5, 5, 20),
        at(four, 40, 20) | {"image_id": 2, "id": 32, "iscrowd": 1},
    ]
    path = labels(sound)
    seen: list[tuple[int, int]] = []
    numbers = compute(coco.check(path, path.parent / "train"), progress=lambda done, of: seen.append((done, of)))
    assert numbers.images == 3 and numbers.images_without_labels == 1
    assert numbers.instances == 4 and numbers.crowd_regions == 1
    assert numbers.image_sizes == {(60, 40): 3}
    assert numbers.classes == {"Normal": 4}
    assert numbers.instances_per_image == (0, 1.0, 3)
    assert numbers.object_sizes == pytest.approx((10, 10, 10, 17, 20))
    assert numbers.density == pytest.approx(4 / (3 * 2400) * 1e6)
    assert numbers.covered == pytest.approx((100 + 70 + 100 + 400) / (3 * 2400))
    assert numbers.overlapping_pairs == 1
    assert numbers.overlapping == 2 / 4
    assert numbers.touching == 3 / 4
    assert seen[-1] == (3, 3)


def test_some_images_only(labels: Write, sound: Document) -> None:
    path = labels(sound)
    numbers = compute(coco.check(path, path.parent / "train"), {2})
    assert (numbers.images, numbers.instances, numbers.touching) == (1, 1, 0)


def test_nothing_at_all(labels: Write, sound: Document) -> None:
    path = labels(sound)
    numbers = compute(coco.check(path, path.parent / "train"), set())
    assert numbers.instances == 0 and numbers.density == 0 and numbers.object_sizes == (0, 0, 0, 0, 0)


def test_real_labels() -> None:
    numbers = compute(coco.check(NUCLEI / "train.json", NUCLEI / "train"))
    assert (numbers.images, numbers.instances) == (12, 122)
    assert numbers.density == pytest.approx(122 / (12 * 128 * 128) * 1e6)
    assert 0.15 < numbers.covered < 0.25
    assert numbers.overlapping_pairs == 0 and 0.2 < numbers.touching < 0.4
    areas = [a["area"] for a in json.loads((NUCLEI / "train.json").read_text())["annotations"]]
    assert numbers.object_sizes[2] == pytest.approx(np.sqrt(np.median(areas)), rel=0.1)


def test_more_masks_than_one_call_takes() -> None:
    rle = masks.encode([[1, 1, 9, 1, 9, 9, 1, 9]], 20, 20)
    assert masks.areas([rle] * 300).tolist() == [64.0] * 300


@pytest.mark.parametrize("seed", range(30))
def test_run_lengths_and_crops_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 400, 2))
    pixels = (rng.random((height, width)) < rng.choice([0.0, 0.01, 0.5, 1.0])).astype(np.uint8)
    rle = coco_mask.encode(np.asfortranarray(pixels))
    assert masks.runs(rle["counts"]).sum() == height * width
    x, y = int(rng.integers(-5, width)), int(rng.integers(-5, height))
    w, h = (int(n) for n in rng.integers(1, 100, 2))
    padded = np.zeros((height + 500, width + 500), np.uint8)
    padded[10 : 10 + height, 10 : 10 + width] = pixels
    assert np.array_equal(masks.crop(rle, x, y, w, h), padded[y + 10 : y + 10 + h, x + 10 : x + 10 + w])
