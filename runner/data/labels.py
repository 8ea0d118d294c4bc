"""A checked label file: what of it is sound, and what is wrong with the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import Problem

if TYPE_CHECKING:
    from runner.data.masks import Rle


@dataclass(frozen=True)
class Instance:
    """A sound annotation.

    Attributes:
        index: its place in the file's list.
        box: x, y, width, height in pixels: the file's, or the mask's where the file has none.
        rle: its mask (compressed run lengths).
        crowd: a region of many objects (``iscrowd``), which counts neither for nor against a detector.
    """

    index: int
    image: int
    category: int
    box: tuple[float, float, float, float]
    rle: Rle
    crowd: bool


@dataclass(frozen=True)
class Labels:
    """A checked label file.

    Attributes:
        classes: names to learn, in the file's order, which is the order MMDetection numbers them in.
        sizes: image id -> (width, height) of the picture, of sound images.
        names: image id -> file name, of sound images.
        instances: sound annotations of the classes.
        incomplete: keys that pictures and masks can fill in, with the number of entries lacking them.
    """

    path: Path
    images: Path
    document: dict[str, Any]
    problems: list[Problem]
    classes: tuple[str, ...] = ()
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    incomplete: dict[str, int] = field(default_factory=dict)
