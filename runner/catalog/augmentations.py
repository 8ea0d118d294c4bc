"""Augmentations: name -> MMDetection transforms, in the order they are applied.

A value "$name" stands for the parameter of that name. An entry with ``size`` sets the training and test
resolution (width, height) and keeps the aspect ratio; the setting image_size shrinks it to fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.catalog.base import Entry, Parameter


@dataclass(frozen=True)
class Augmentation(Entry):
    """An augmentation; ``transforms`` come after the resize, ``size`` is (width, height) in pixels or None."""

    transforms: tuple[Mapping[str, Any], ...] = ()
    size: tuple[int, int] | None = None


def _resize(width: int, height: int) -> Augmentation:
    return Augmentation(
        f"resize_{width}x{height}", f"resize {width} x {height} + flip", "mmdet.datasets.transforms.Resize",
        size=(width, height), transforms=({"type": "RandomFlip", "prob": 0.5},),
    )  # fmt: skip


AUGMENTATIONS = {
    entry.name: entry
    for entry in (
        Augmentation("none", "none", "no augmentation"),
        Augmentation(
            "flip", "random flip", "mmdet.datasets.transforms.RandomFlip",
            {
                "probability": Parameter("float", 0.5, 0, 1, help="share of images flipped"),
                "direction": Parameter("str", "horizontal", choices=("horizontal", "vertical", "diagonal")),
            },
            transforms=({"type": "RandomFlip", "prob": "$probability", "direction": "$direction"},),
        ),
        _resize(1024, 1024), _resize(1280, 1024), _resize(1333, 800),
    )
}  # fmt: skip
