"""Masks lie on their objects: drawn pictures in which each object has a colour of its own, hence also a true mask."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from augmenting import dataset, default, seed, strongest
from trials import paths

from runner.protocol import DataPaths, Part

# directions far apart: pixels that a resize mixes with black or grey are still nearest to their own, or to those
COLOURS = [c for c in itertools.product((0, 120, 240), repeat=3) if max(c) == 240 and len(set(c)) > 1]
PALETTE = np.array([*COLOURS, (0, 0, 0), (114, 114, 114), (128, 128, 128)], np.float32)
SLIVER = 600  # pixels
GEOMETRY = [
    ("flip",), ("resize_1280x1024",), ("shear",), ("rotate",), ("min_iou_random_crop",), ("random_resize",),
    ("random_crop",), ("copy_paste",), ("mosaic",), ("shear", "rotate", "flip", "min_iou_random_crop"),
    ("random_crop", "copy_paste", "rotate", "mosaic"),
]  # fmt: skip


def discs(folder: Path, sizes: list[tuple[int, int]], objects: list[list[tuple[int, int, int]]]) -> DataPaths:
    """Images of (width, height) with ellipses (x, y, radius) on black, each image with colours of its own."""
    (folder / "train").mkdir()
    images, labels, colours = [], [], itertools.cycle(COLOURS)
    for number, (size, found) in enumerate(zip(sizes, objects, strict=True)):
        picture = np.zeros((size[1], size[0], 3), np.uint8)
        for x, y, radius in found:
            alone = np.zeros(picture.shape[:2], np.uint8)
            cv2.ellipse(alone, (x, y), (radius, radius * 2 // 3), 30, 0, 360, 1, -1)
            colour = next(colours)
            picture[alone > 0] = colour
            edge = cv2.findContours(alone, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0].reshape(-1)
            bx, by, bw, bh = cv2.boundingRect(alone)
            labels.append({
                "id": len(labels) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": [bx, by, bw, bh],
                "area": int(alone.sum()), "segmentation": [[float(value) for value in edge]],
            })  # fmt: skip
        cv2.imwrite(str(folder / "train" / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]})
    document = {"images": images, "annotations": labels, "categories": [{"id": 1, "name": "disc"}]}
    (folder / "train.json").write_text(json.dumps(document))
    return paths(classes=("disc",), n_train=len(images), train_images=str(folder / "train"),
                 train_annotations=str(folder / "train.json"))  # fmt: skip


@pytest.fixture
def two_pictures(tmp_path: Path) -> DataPaths:
    """Of different size and form."""
    first = [(90, 90, 51), (270, 75, 45), (285, 210, 48), (120, 225, 45), (195, 150, 39)]
    return discs(tmp_path, [(384, 308), (308, 384)], [first, [(y, x, r) for x, y, r in first]])


def overlaps(item: dict[str, Any]) -> list[float]:
    """IoU of each mask with the pixels that have its object's colour, where it is not cut to a sliver."""
    pixels, truth = item["inputs"].numpy().transpose(1, 2, 0).astype(np.float32), item["data_samples"].gt_instances
    nearest = (np.sum(PALETTE**2, axis=1) - 2 * pixels @ PALETTE.T).argmin(axis=-1)
    masks = truth.masks.masks.astype(bool)
    found: dict[int, np.ndarray] = {}
    for mask in masks:
        if mask.sum() > SLIVER:
            colour = int(np.bincount(nearest[mask]).argmax())
            assert colour < len(COLOURS), "a mask lies beside its object"
            found[colour] = found.get(colour, False) | mask  # copies of an object have its colour, too
    small = {int(np.bincount(nearest[mask]).argmax()) for mask in masks if mask.sum() <= SLIVER}
    ious = {c: (mask & (nearest == c)).sum() / (mask | (nearest == c)).sum() for c, mask in found.items()}
    return [float(iou) for colour, iou in ious.items() if colour not in small]


@pytest.mark.parametrize("of", [default, strongest], ids=lambda of: of.__name__)
@pytest.mark.parametrize("chosen", GEOMETRY, ids="+".join)
def test_masks_lie_on_their_objects(
    two_pictures: DataPaths, chosen: tuple[str, ...], of: Callable[[str], Part]
) -> None:
    data = dataset(tuple(of(name) for name in chosen), two_pictures, (384, 308))
    seed(0)
    found = [iou for draw in range(12) for iou in overlaps(data[draw % 2])]
    assert len(found) > 10
    # where thin, or after several warps, an object is mostly edge, which bilinear pixels and nearest masks see apart
    assert min(found) > (0.8 if len(chosen) > 1 or of is strongest else 0.9)


def test_a_true_box_is_smaller_than_the_hull_of_a_rotated_one(two_pictures: DataPaths) -> None:
    """MMDetection's own Rotate keeps the hull: the boxes of an ellipse grow by a fifth and more."""
    data = dataset((Part(name="rotate", params={"probability": 1.0, "max_degrees": 45.0}),), two_pictures, (384, 308))
    boxes = next(t for t in data.pipeline.transforms if type(t).__name__ == "RandomApply").transforms.transforms

    def area() -> float:
        seed(0)
        return sum(float(data[0]["data_samples"].gt_instances.bboxes.areas.sum()) for _ in range(8))

    tight = area()
    assert type(boxes.pop()).__name__ == "BoxesFromMasks"
    assert area() > 1.2 * tight


@pytest.mark.parametrize("chosen", [("shear",), ("rotate",), ("all",), ("mosaic", "rotate")], ids="+".join)
def test_more_objects_than_opencv_has_channels(tmp_path: Path, chosen: tuple[str, ...]) -> None:
    """OpenCV 5 warps at most 128 channels, which MMDetection's masks are."""
    many = [(x, y, 4) for x in range(8, 250, 12) for y in range(8, 200, 12)]
    assert len(many) > 300
    data = discs(tmp_path, [(256, 205)], [many])
    augmented = dataset(tuple(strongest(name) for name in chosen), data, (256, 205))
    seed(0)
    assert all(len(augmented[0]["data_samples"].gt_instances) > 0 for _ in range(3))


@pytest.mark.parametrize("chosen", [("rotate",), ("mosaic", "rotate"), ("copy_paste", "shear", "rotate")], ids="+".join)
def test_an_image_left_without_objects_is_drawn_again(tmp_path: Path, chosen: tuple[str, ...]) -> None:
    """Each has one small object in a corner, which half of the rotations push out."""
    data = discs(tmp_path, [(256, 205), (205, 256)], [[(6, 6, 5)], [(7, 7, 5)]])
    augmented = dataset(tuple(strongest(name) for name in chosen), data, (256, 205))
    seed(0)
    assert all(len(augmented[draw % 2]["data_samples"].gt_instances) > 0 for draw in range(30))
