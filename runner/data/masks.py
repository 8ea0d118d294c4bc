"""Instance masks: polygons and run lengths of a COCO label file, as pycocotools' compressed RLE.

COCO run lengths go down the columns: pixel (x, y) is number ``x * height + y``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rle = dict[str, Any]  # {"size": [height, width], "counts": bytes or str}


def encode(segmentation: object, height: int, width: int) -> Rle:
    """Compressed RLE of a polygon list, an uncompressed or a compressed RLE, clipped to the image."""
    from pycocotools import mask

    if isinstance(segmentation, Mapping):
        if isinstance(segmentation["counts"], list):
            return cast(Rle, mask.frPyObjects(dict(segmentation), height, width))
        return {"size": [height, width], "counts": segmentation["counts"]}
    return cast(Rle, mask.merge(mask.frPyObjects(cast(Any, segmentation), height, width)))


def from_pixels(pixels: NDArray[np.bool_]) -> Rle:
    """Compressed RLE, as JSON can hold it, of a mask (height, width)."""
    from pycocotools import mask

    rle = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode("ascii")}


def runs(counts: Sequence[int] | str | bytes) -> NDArray[np.int64]:
    """Run lengths, background first, of a list or of COCO's compressed string.

    The string holds each length as base-32 digits, lowest first, from the third on as the difference to the
    length two before; bit 32 of a digit says that more follow, bit 16 of the last one is the sign.

    Raises:
        ValueError: the string is no run lengths.
    """
    if not isinstance(counts, str | bytes):
        return np.asarray(counts, np.int64)
    raw = counts.encode("latin-1", "replace") if isinstance(counts, str) else counts
    digits = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if digits.size == 0 or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        raise ValueError("not a compressed RLE string")
    last = np.flatnonzero((digits & 32) == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    if (last - first).max() > 6:
        raise ValueError("not a compressed RLE string")
    place = np.arange(digits.size) - np.repeat(first, last - first + 1)
    values = np.add.reduceat((digits & 31) << (5 * place), first)
    values -= np.where(digits[last] & 16, np.int64(1) << (5 * (last - first + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def crop(rle: Rle, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
    """Pixels (height, width), 0 or 1, of a window; decodes only its columns. Outside the image all is 0."""
    rows, columns = rle["size"]
    left, right = max(x, 0), min(x + width, columns)
    out = np.zeros((height, width), np.uint8)
    if right <= left:
        return out
    edges = np.clip(np.cumsum(runs(rle["counts"])), left * rows, right * rows)
    lengths = np.diff(edges, prepend=left * rows)
    flat = np.repeat(np.arange(lengths.size) & 1, lengths).astype(np.uint8)
    strip = flat.reshape(right - left, rows).T
    top, bottom = max(y, 0), min(y + height, rows)
    if bottom > top:
        out[top - y : bottom - y, left - x : right - x] = strip[top:bottom]
    return out


def boxes(rles: Sequence[Rle]) -> NDArray[np.float64]:
    """(n, 4) bounding boxes as x, y, width, height in pixels."""
    from pycocotools import mask

    return np.asarray(mask.toBbox(list(rles)), np.float64).reshape(-1, 4)


def areas(rles: Sequence[Rle]) -> NDArray[np.float64]:
    """(n,) areas in pixels."""
    from pycocotools import mask

    # one by one: pycocotools 2.0.11 with numpy 2 fails at more than 255 masks in a call
    return np.array([float(mask.area(rle)) for rle in rles])


def union_area(rles: Sequence[Rle]) -> int:
    """Pixels that at least one mask covers."""
    from pycocotools import mask

    return int(mask.area(mask.merge(list(rles)))) if rles else 0


def ious(rles: Sequence[Rle]) -> NDArray[np.float64]:
    """(n, n) intersection over union of every two masks; pairs whose boxes do not meet cost nothing."""
    from pycocotools import mask

    if not rles:
        return np.zeros((0, 0))
    return np.asarray(mask.iou(list(rles), list(rles), [0] * len(rles)), np.float64)
