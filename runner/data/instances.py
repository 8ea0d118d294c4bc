"""Masks of a generated picture: each particle's visible pixels as a COCO polygon or as run lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.data import masks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST_MASK = 12  # pixels; less of a particle is no object that anybody would label
OUTLINE_ZOOM = 4  # outlines are traced at four times the size, so that they fill just the mask's pixels
OUTLINE_TOLERANCE = 0.2  # pixels


@dataclass(frozen=True)
class Instance:
    """One visible particle: COCO ``segmentation``, ``bbox`` (x, y, width, height), area in pixels."""

    segmentation: list[list[float]] | dict[str, Any]
    bbox: list[float]
    area: int
    labelled: bool


def instance_of(mask: NDArray[np.bool_], labelled: bool) -> Instance | None:
    """The instance of a visible mask (height, width); None where too little is seen."""
    if int(mask.sum()) < SMALLEST_MASK:
        return None
    height, width = mask.shape
    outline = _outline(mask)
    # a polygon cannot say "these two pieces, and not what lies between" as plainly as run lengths can
    segmentation: list[list[float]] | masks.Rle = outline if outline else masks.from_pixels(mask)
    rle = masks.encode(segmentation, height, width)
    box = [float(n) for n in masks.boxes([rle])[0]]
    return Instance(segmentation, box, int(masks.areas([rle])[0]), labelled)


def _outline(mask: NDArray[np.bool_]) -> list[list[float]] | None:
    """The mask as one polygon, or None where it has several pieces or a hole."""
    import cv2
    import numpy as np

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1].astype(np.uint8)
    large = np.kron(crop, np.ones((OUTLINE_ZOOM, OUTLINE_ZOOM), np.uint8))
    contours, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if len(contours) != 1:
        return None
    points = cv2.approxPolyDP(contours[0], OUTLINE_TOLERANCE * OUTLINE_ZOOM, True).reshape(-1, 2)
    if len(points) < 3:
        return None
    # COCO counts from the corner of pixel (0, 0), cv2 from its centre
    corner = (points + 0.5) / OUTLINE_ZOOM + (left, top)
    return [[round(float(n), 2) for n in corner.reshape(-1)]]


def coco(images: list[dict[str, Any]], found: list[tuple[int, Instance]], complete: bool) -> dict[str, Any]:
    """A label file of (image id, instance); ``complete`` takes the unlabelled ones too and marks them."""
    annotations: list[dict[str, Any]] = []
    for image_id, instance in found:
        if complete or instance.labelled:
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": 1,
                "iscrowd": 0,
                "area": instance.area,
                "bbox": instance.bbox,
                "segmentation": instance.segmentation,
            }
            annotations.append(annotation | ({"labelled": instance.labelled} if complete else {}))
    categories = [{"id": 1, "name": "Normal", "supercategory": "particle"}]
    return {"images": images, "annotations": annotations, "categories": categories}
