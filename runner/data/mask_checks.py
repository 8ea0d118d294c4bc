"""Checks of one annotation's mask: polygons, uncompressed and compressed run lengths."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from runner.data import masks
from runner.data.image_checks import is_finite, is_whole, shown

Remark = tuple[str, str]  # the key in the annotation, and what is odd about it
PLACE = ".segmentation"
REMOVE = "remove the annotation, or draw it again"


class LabelError(Exception):
    """What is wrong with an annotation; ``place`` is the key in it, such as ``.segmentation[0]``."""

    def __init__(self, message: str, suggestion: str | None = REMOVE, place: str = PLACE) -> None:
        super().__init__(message)
        self.suggestion, self.place = suggestion, place


def mask_of(segmentation: object, height: int, width: int, remarks: list[Remark]) -> masks.Rle:
    """Compressed run lengths of a sound mask of an image (pixels); remarks take what stops nobody.

    Raises:
        LabelError: training would leave the mask out, or stop at it.
    """
    if isinstance(segmentation, list):
        polygons = _polygons(segmentation, remarks)
        rle = masks.encode(polygons, height, width)
    elif isinstance(segmentation, Mapping):
        _run_lengths(segmentation, height, width)
        rle = masks.encode(segmentation, height, width)
    elif segmentation is None:
        raise LabelError("no mask: segmentation is missing; a box alone does not train instance segmentation")
    else:
        raise LabelError(f"expected polygons or run lengths, found {shown(segmentation)}")
    if masks.areas([rle])[0] == 0:
        raise LabelError("the mask covers no pixel of the image")
    return rle


def _polygons(polygons: list[Any], remarks: list[Remark]) -> list[list[float]]:
    if not polygons or polygons == [[]]:
        raise LabelError("empty polygon")
    if _all_finite(polygons):
        raise LabelError("one polygon where a list of polygons is expected", "put brackets round it: [[x, y, ...]]")
    for part, points in enumerate(polygons):
        place = f"{PLACE}[{part}]"
        if not isinstance(points, list):
            raise LabelError(f"expected a list of numbers, found {shown(points)}", place=place)
        if not points:
            raise LabelError("empty polygon", place=place)
        if not _all_finite(points):
            bad = next((number for number in points if not is_finite(number)), points)
            raise LabelError(f"expected finite numbers in the polygon, found {shown(bad)}", place=place)
        if len(points) % 2:
            raise LabelError(f"polygon of {len(points)} numbers, an odd count; they are x, y in turn", place=place)
        if len(points) < 6:
            count = len(points) // 2
            raise LabelError(
                f"polygon of {count} point{'s' * (count > 1)}; it takes 3 to enclose anything", place=place
            )
    flat = [part for part, points in enumerate(polygons) if _enclosed(points) == 0]
    if len(flat) == len(polygons):
        raise LabelError("degenerate polygon: its points enclose no area")
    remarks += [(f"{PLACE}[{part}]", "this part of the polygon encloses no area") for part in flat]
    return polygons


def _enclosed(points: list[float]) -> float:
    """Area of a polygon by the shoelace formula, from its first point so as to keep all digits."""
    x, y = np.array(points[::2]) - points[0], np.array(points[1::2]) - points[1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y)) / 2)


def _all_finite(points: list[Any]) -> bool:
    # ten times as fast as number by number, and there are millions
    return set(map(type, points)) <= {int, float} and math.isfinite(sum(points))


def _run_lengths(rle: Mapping[str, Any], height: int, width: int) -> None:
    size, counts = rle.get("size"), rle.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(is_whole(n) and n > 0 for n in size):
        raise LabelError(f"run lengths (RLE): expected size [height, width], found {shown(size)}")
    if size != [height, width]:
        hint = "export the label again for this picture"
        if size == [width, height]:
            hint = "size is [height, width]; " + hint
        message = f"run lengths (RLE) of {size[0]} x {size[1]} (height x width), the image is {height} x {width}"
        raise LabelError(message, hint)
    if isinstance(counts, list):
        if bad := [n for n in counts if not is_whole(n) or n < 0]:
            raise LabelError(f"run lengths (RLE): expected whole numbers from 0, found {shown(bad[0])}")
    elif not isinstance(counts, str) or not re.fullmatch(r"[0-o]+", counts):
        raise LabelError(f"run lengths (RLE): expected a list of numbers or COCO's string, found {shown(counts)}")
    try:
        lengths = masks.runs(counts)
        if lengths.size and lengths.min() < 0:
            raise ValueError("a negative length")
    except (ValueError, OverflowError) as error:
        raise LabelError(f"run lengths (RLE): {shown(counts)} is not COCO's compressed form") from error
    if lengths.sum() != height * width:
        message = f"run lengths (RLE) add up to {int(lengths.sum())} pixels, the image has {height * width}"
        raise LabelError(message, "export the label again")
