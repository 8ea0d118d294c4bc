"""Fits a model to what the data look like: detections per image, proposals, anchors. Pure, free of torch.

MMDetection's own numbers are made for COCO: at most 100 objects an image, anchors from 32 pixels. Dense images of
small particles hold more and smaller ones, and a cap of 100 would lie about them.
"""

from __future__ import annotations

import math
from typing import Any

from runner.protocol import DataPaths, Scale

COCO_DETECTIONS = 100
_COCO_ANCHOR = 8.0  # smallest anchor in units of the finest stride (4 pixels)
_PROPOSALS = {"tiny": 128, "standard": 1000}


def detections(data: DataPaths, mode: str) -> int:
    """Detections per image that every figure of a study counts: 100, or a fifth more than the fullest image."""
    if mode == "off":
        return COCO_DETECTIONS
    return max(COCO_DETECTIONS, math.ceil(1.2 * data.max_instances / 50) * 50)


def resize_factor(data: DataPaths, image_size: tuple[int, int] | None) -> float:
    """By what an image shrinks (or grows) when fitted into image_size (width, height); MMDetection's is 1333 x 800.

    As mmcv.rescale_size: the longer side stays below the longer limit, the shorter below the shorter.
    """
    width, height = data.sizes
    limits = image_size or (1333, 800)
    return min(max(limits) / max(width, height), min(limits) / min(width, height))


def adapt(data: DataPaths, image_size: tuple[int, int] | None, scale: Scale, mode: str) -> dict[str, Any]:
    """What is fitted to the data.

    Args:
        data: statistics of the study's data.
        image_size: (width, height) in pixels that the model sees; None for MMDetection's 1333 x 800.
        scale: tiny or standard.
        mode: ``auto``, or ``off`` for MMDetection's own numbers.

    Returns:
        ``detections`` (per image), and with ``auto`` also ``proposals`` (per image, of the RPN), ``anchor_scale``
        (smallest anchor in units of the finest stride, 4 pixels) and ``object_size`` (pixels, median, as the
        model sees it).
    """
    cap = detections(data, mode)
    if mode == "off":
        return {"detections": cap}
    factor = resize_factor(data, image_size)
    small, median, _ = (size * factor for size in data.object_sizes)
    return {
        "detections": cap,
        "proposals": max(_PROPOSALS[scale], math.ceil(4 * data.max_instances / 50) * 50),
        "anchor_scale": round(min(_COCO_ANCHOR, max(1.0, small / 4)), 2),
        "object_size": round(median, 1),
    }
