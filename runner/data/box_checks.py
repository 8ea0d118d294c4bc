"""Checks of one annotation's box against its image and its mask."""

from __future__ import annotations

from runner.data import masks
from runner.data.image_checks import is_finite, shown
from runner.data.mask_checks import LabelError, Remark

Box = tuple[float, float, float, float]  # x, y, width, height in pixels
OUTSIDE_PIXELS, OUTSIDE_SHARE = 1.0, 0.1  # a box may leave the image so far before it is taken for a mistake
AGREEMENT = 0.5  # intersection over union of box and mask's box; less is a mistake in one of them
ROUNDING = 2.0  # pixels that corners may differ by, however small the object
PLACE = ".bbox"
DROP = "remove the key: the mask gives it"


def box_of(
    given: object,
    segmentation: object,
    rle: masks.Rle,
    size: tuple[int, int],
    crowd: bool,
    remarks: list[Remark],
) -> Box:
    """A sound box, or the mask's where the file has none.

    Args:
        given: the file's ``bbox``.
        segmentation: the file's sound ``segmentation``.
        rle: the mask it gives.
        size: (width, height) of the image in pixels.
        crowd: the box of a crowd region need not be its mask's.
        remarks: takes what stops nobody.

    Raises:
        LabelError: training would leave the box out, or the score lie.
    """
    x, y, w, h = (float(n) for n in masks.boxes([rle])[0])
    mask_box = (x, y, w, h)
    # of a thin polygon few pixels are left, so its corners say better what the box should be
    drawn = _extent(segmentation) or mask_box
    if given is None:
        return mask_box
    if not isinstance(given, list) or len(given) != 4 or not all(is_finite(n) for n in given):
        raise LabelError(f"expected [x, y, width, height], found {shown(given)}", DROP, PLACE)
    box = (float(given[0]), float(given[1]), float(given[2]), float(given[3]))
    text = f"box {_numbers(box)} (x, y, width, height)"
    if box[2] <= 0 or box[3] <= 0:
        raise LabelError(f"{text} has no area", DROP, PLACE)
    _inside(text, box, size, remarks)
    if not crowd and not _agree(box, drawn):
        as_corners = (box[0], box[1], box[2] - box[0], box[3] - box[1])
        hint = "write [x, y, width, height], not two corners" if _agree(as_corners, drawn) else DROP
        raise LabelError(f"{text} is not that of its mask, {_numbers(drawn)}", hint, PLACE)
    if min(box[2:]) < 1:
        remarks.append((PLACE, f"{text} is narrower than a pixel; training leaves it out"))
    return box


def _inside(text: str, box: Box, size: tuple[int, int], remarks: list[Remark]) -> None:
    x, y, w, h = box
    over = max(-x, -y, x + w - size[0], y + h - size[1])
    if over <= 1e-6:
        return
    seen = max(0.0, min(x + w, size[0]) - max(x, 0)) * max(0.0, min(y + h, size[1]) - max(y, 0))
    image = f"the image of {size[0]} x {size[1]}"
    if seen == 0:
        raise LabelError(f"{text} lies outside {image}", "check that label and picture belong together", PLACE)
    message = f"{text} leaves {image} by {over:.3g} pixels"
    if over > OUTSIDE_PIXELS and 1 - seen / (w * h) > OUTSIDE_SHARE:
        raise LabelError(message, "clip it to the image, or remove the key: the mask gives it", PLACE)
    remarks.append((PLACE, message))


def _agree(one: Box, two: Box) -> bool:
    a, b = _corners(one), _corners(two)
    if max(abs(m - n) for m, n in zip(a, b, strict=True)) <= ROUNDING:
        return True
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = one[2] * one[3] + two[2] * two[3] - shared
    return one[2] > 0 and one[3] > 0 and shared / both >= AGREEMENT


def _extent(segmentation: object) -> Box | None:
    """Box of all the corners of a polygon list, None for run lengths."""
    if not isinstance(segmentation, list):
        return None
    x = [number for points in segmentation for number in points[::2]]
    y = [number for points in segmentation for number in points[1::2]]
    return min(x), min(y), max(x) - min(x), max(y) - min(y)


def _corners(box: Box) -> Box:
    return box[0], box[1], box[0] + box[2], box[1] + box[3]


def _numbers(box: Box) -> str:
    return "[" + ", ".join(f"{n:.6g}" for n in box) + "]"
