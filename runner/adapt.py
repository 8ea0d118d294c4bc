"""Fits a model to what the data look like: detections per image, proposals, anchors. Pure, free of torch.

MMDetection's own numbers are made for COCO: at most 100 objects an image, anchors from 32 pixels. Dense images of
small particles hold more and smaller ones, and a cap of 100 would lie about them.
"""

from __future__ import annotations

import math
from typing import Any

from runner.catalog import AUGMENTATIONS
from runner.protocol import Combination, DataPaths, Scale

COCO_DETECTIONS = 100
MMDETECTION_SIZE = (1333, 800)
_COCO_ANCHOR = 8.0  # smallest anchor in units of the finest stride (4 pixels)
_PROPOSALS = {"tiny": 128, "standard": 1000}


def image_size(combination: Combination) -> tuple[int, int]:
    """(width, height) that images are fitted into: the augmentation's, shrunk to fit the setting image_size.

    The setting wins over a size an augmentation names, but keeps its aspect: ``resize_1280x1024`` within 256 gives
    256 x 205, so that choices of size stay apart from each other when a sweep runs small.
    """
    limit = combination.settings.get("image_size")
    named = [a.size for p in combination.augmentation if (a := AUGMENTATIONS[p.name]).size]
    if not named:
        return tuple(limit) if limit else MMDETECTION_SIZE
    width, height = named[-1]
    if limit:
        factor = min(1.0, resize_factor((width, height), limit))
        width, height = round(width * factor), round(height * factor)
    return width, height


def detections(data: DataPaths, mode: str) -> int:
    """Detections per image that every figure of a study counts: 100, or a fifth more than the fullest image."""
    if mode == "off":
        return COCO_DETECTIONS
    return max(COCO_DETECTIONS, math.ceil(1.2 * data.max_instances / 50) * 50)


def resize_factor(image: tuple[int, int], limits: tuple[int, int]) -> float:
    """By what an image of (width, height) shrinks or grows when fitted into `limits`, given in either order.

    As mmcv.rescale_size: the longer side stays below the longer limit, the shorter below the shorter.
    """
    return min(max(limits) / max(image), min(limits) / min(image))


def adapt(data: DataPaths, size: tuple[int, int], scale: Scale, mode: str) -> dict[str, Any]:
    """What is fitted to the data.

    Args:
        data: statistics of the study's data.
        size: (width, height) in pixels that images are fitted into.
        scale: tiny or standard.
        mode: ``auto``, or ``off`` for MMDetection's own numbers.

    Returns:
        ``detections`` (per image), and with ``auto`` also ``proposals`` (per image, of the RPN), ``anchor_scale``
        (smallest anchor in units of the finest stride, 4 pixels), ``object_size`` (pixels, median, as the
        model sees it) and ``size_factor`` (the shorter side the model sees over MMDetection's 800, by which
        lengths in pixels shrink).
    """
    cap = detections(data, mode)
    if mode == "off":
        return {"detections": cap}
    factor = resize_factor(data.sizes, size)
    small, median, _ = (size * factor for size in data.object_sizes)
    return {
        "detections": cap,
        "proposals": max(_PROPOSALS[scale], math.ceil(4 * data.max_instances / 50) * 50),
        "anchor_scale": round(min(_COCO_ANCHOR, max(1.0, small / 4)), 2),
        "object_size": round(median, 1),
        "size_factor": round(min(size) / min(MMDETECTION_SIZE), 3),
    }
