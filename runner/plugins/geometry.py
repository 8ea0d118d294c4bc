"""Boxes that follow their masks, and warps for images with many objects."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import MinIoURandomCrop, Resize, Rotate, ShearX, ShearY
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import TRANSFORMS

Results = dict[str, Any]
ALIGNED = ("gt_bboxes", "gt_bboxes_labels", "gt_masks", "gt_ignore_flags")
"""What of the results holds one entry an object."""


def boxes_from_masks(results: Results, min_area: int) -> Results | None:
    """Sets each box to the hull of its mask and takes out objects with less than `min_area` pixels.

    Args:
        results: a pipeline's, with ``gt_masks`` as bitmaps.
        min_area: in pixels of the image as it is now.

    Returns:
        The results; None where no object to learn from is left, so that the data set draws another image.
    """
    masks = results["gt_masks"].masks
    hulls = [cv2.boundingRect(mask) for mask in masks]  # x, y, width, height; zeros for an empty mask
    areas = [np.count_nonzero(m[y : y + h, x : x + w]) for m, (x, y, w, h) in zip(masks, hulls, strict=True)]
    keep = np.array(areas) >= min_area
    if not (keep & ~results["gt_ignore_flags"]).any():
        return None
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in hulls], dtype=np.float32)
    results["gt_bboxes"] = type(results["gt_bboxes"])(torch.from_numpy(corners))
    if not keep.all():
        for name in ALIGNED:
            results[name] = results[name][keep]
    return results


@TRANSFORMS.register_module()
class BoxesFromMasks(BaseTransform):
    """Sets boxes to the hulls of their masks; what a crop or a warp pushed out of the image is taken out.

    MMDetection warps the box instead and takes the hull of that, which is too large by up to the object's own size,
    clips boxes while masks keep their form, and leaves objects whose mask has become empty.

    Args:
        min_area: pixels an object must still have, smaller ones are taken out.
    """

    def __init__(self, min_area: int = 4) -> None:
        self.min_area = min_area

    def transform(self, results: Results) -> Results | None:
        """See `boxes_from_masks`."""
        return boxes_from_masks(results, self.min_area)


class _OneByOne:
    """Warps masks one after the other.

    MMDetection warps them as the channels of one picture. OpenCV 5 refuses more than 128 channels, and with another
    number than 1, 3 or 4 its rounding is not that of the picture.
    """

    def _transform_masks(self, results: Results, mag: float) -> None:
        masks = results["gt_masks"].masks
        for number, mask in enumerate(masks):
            one = {"img_shape": results["img_shape"], "gt_masks": BitmapMasks(mask[None], *mask.shape)}
            super()._transform_masks(one, mag)  # type: ignore[misc]
            masks[number] = one["gt_masks"].masks[0]


@TRANSFORMS.register_module()
class StudyShearX(_OneByOne, ShearX):
    """MMDetection's ShearX for any number of objects."""


@TRANSFORMS.register_module()
class StudyShearY(_OneByOne, ShearY):
    """MMDetection's ShearY for any number of objects."""


@TRANSFORMS.register_module()
class StudyRotate(_OneByOne, Rotate):
    """MMDetection's Rotate for any number of objects."""


@TRANSFORMS.register_module()
class StudyMinIoURandomCrop(MinIoURandomCrop):
    """MMDetection's MinIoURandomCrop, whose crop is enlarged until it fills the image it was taken from.

    MMDetection crops before it resizes; here an image has its size already. A Resize to that size would turn
    upright crops of a broad image into upright images, for which a batch of both has no room.
    """

    def transform(self, results: Results) -> Results:
        """As MMDetection's; width or height are as they were."""
        height, width = results["img"].shape[:2]
        results = super().transform(results)
        h, w = results["img"].shape[:2]
        factor = min(height / h, width / w)
        if factor > 1:
            results = Resize(scale=(min(width, round(w * factor)), min(height, round(h * factor))))(results)
        return results
