"""Takes images from the training images, by share and seed: for validation, or to hold out."""

from __future__ import annotations

import hashlib
from typing import Any

from runner.data.datafile import Split
from runner.data.labels import Labels
from runner.errors import UserError


def taken(labels: Labels, split: Split, key: str = "val", left: frozenset[int] | None = None) -> frozenset[int]:
    """Image ids of the part that a split takes.

    Drawn by the hash of seed and file name: order and ids in the label file do not matter, and an image added
    later moves few others. Images without labels are shared out apart, so that either side has labels.

    Args:
        labels: of the training images.
        split: share and seed.
        key: the part, for messages.
        left: images that no other split has taken; None for all.

    Raises:
        UserError: fewer than 2 images have labels.
    """
    images = set(labels.names if left is None else left)
    labelled = images & {instance.image for instance in labels.instances if not instance.crowd}
    if len(labelled) < 2:
        others = "" if left is None else " left"
        message = f"{key}.split: a split takes at least 2 images with labels, {labels.path} has {len(labelled)}{others}"
        raise UserError(message)
    return _draw(labels, labelled, split, at_least=1) | _draw(labels, images - labelled, split, at_least=0)


def _draw(labels: Labels, images: set[int], split: Split, at_least: int) -> frozenset[int]:
    def lot(image: int) -> str:
        return hashlib.sha256(f"{split.seed}:{labels.names[image]}".encode()).hexdigest()

    number = min(max(round(len(images) * split.share), at_least), len(images) - at_least)
    return frozenset(sorted(images, key=lot)[:number])


def part_of(document: dict[str, Any], images: frozenset[int]) -> dict[str, Any]:
    """The label document of some images only; everything else in it stays."""
    return document | {
        "images": [entry for entry in document["images"] if entry["id"] in images],
        "annotations": [entry for entry in document["annotations"] if entry["image_id"] in images],
    }
