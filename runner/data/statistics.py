"""What the labelled objects are like: how many, how large, how dense, how much they touch and overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.data import masks
from runner.data.labels import Instance, Labels

GAP = 1  # pixels between two masks that still count as touching: polygons of neighbours often leave one
PERCENTILES = (10, 50, 90)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Statistics:
    """Figures of one label file, regions of ``iscrowd`` aside.

    Attributes:
        image_sizes: (width, height) in pixels -> number of images, the most common first.
        classes: class -> number of its instances.
        instances_per_image: least, median, most.
        object_sizes: least, 10th, 50th, 90th percentile, most of sqrt(mask area) in pixels.
        density: instances per megapixel.
        covered: share of the pixels that some mask covers.
        overlapping_pairs: pairs of instances of one image whose masks share a pixel.
        overlapping: share of the instances that are in such a pair.
        touching: share of the instances with at most 1 pixel between them and another; overlaps included.
    """

    images: int
    images_without_labels: int
    instances: int
    crowd_regions: int
    image_sizes: dict[tuple[int, int], int]
    classes: dict[str, int]
    instances_per_image: tuple[int, float, int]
    object_sizes: tuple[float, float, float, float, float]
    density: float
    covered: float
    overlapping_pairs: int
    overlapping: float
    touching: float


def compute(labels: Labels, images: Collection[int] | None = None, progress: Progress | None = None) -> Statistics:
    """Figures of a checked label file.

    Args:
        labels: the label file; only its sound parts count.
        images: ids of the images to take; default all.
        progress: called with (images done, images in all).
    """
    sizes = {image: size for image, size in labels.sizes.items() if images is None or image in images}
    instances = by_image(labels, sizes)
    names = {entry["id"]: entry["name"] for entry in labels.document["categories"]}
    counts = [len(found) for found in instances.values()]
    covered, pairs, overlapping, touching = 0, 0, 0, 0
    for done, found in enumerate(instances.values(), start=1):
        rles = [instance.rle for instance in found]
        covered += masks.union_area(rles)
        in_pair, near, number = _neighbours(rles)
        pairs, overlapping, touching = pairs + number, overlapping + in_pair, touching + near
        if progress and (done % 10 == 0 or done == len(instances)):
            progress(done, len(instances))
    total, pixels = sum(counts), sum(width * height for width, height in sizes.values())
    return Statistics(
        images=len(sizes),
        images_without_labels=counts.count(0),
        instances=total,
        crowd_regions=sum(i.crowd for i in labels.instances if i.image in sizes),
        image_sizes=dict(Counter(sizes.values()).most_common()),
        classes=dict(Counter(names[i.category] for found in instances.values() for i in found).most_common()),
        instances_per_image=(min(counts, default=0), float(np.median(counts or [0])), max(counts, default=0)),
        object_sizes=_size_range(object_sizes([i for found in instances.values() for i in found])),
        density=total / pixels * 1e6 if pixels else 0.0,
        covered=covered / pixels if pixels else 0.0,
        overlapping_pairs=pairs,
        overlapping=overlapping / total if total else 0.0,
        touching=touching / total if total else 0.0,
    )


def by_image(labels: Labels, images: Collection[int]) -> dict[int, list[Instance]]:
    """Image id -> its instances, crowd regions aside; images without any have an empty list."""
    found: dict[int, list[Instance]] = {image: [] for image in images}
    for instance in labels.instances:
        if instance.image in found and not instance.crowd:
            found[instance.image].append(instance)
    return found


def object_sizes(instances: Collection[Instance]) -> NDArray[np.float64]:
    """(n,) sqrt(mask area) in pixels."""
    return np.sqrt(masks.areas([instance.rle for instance in instances])) if instances else np.zeros(0)


def percentiles(sizes: NDArray[np.float64]) -> tuple[float, float, float]:
    """10th, 50th and 90th percentile; zeros where there is nothing."""
    low, middle, high = np.percentile(sizes, PERCENTILES) if sizes.size else (0.0, 0.0, 0.0)
    return float(low), float(middle), float(high)


def _size_range(sizes: NDArray[np.float64]) -> tuple[float, float, float, float, float]:
    low, middle, high = percentiles(sizes)
    return (
        float(sizes.min(initial=np.inf)) if sizes.size else 0.0,
        low,
        middle,
        high,
        float(sizes.max(initial=0)),
    )


def _neighbours(rles: list[masks.Rle]) -> tuple[int, int, int]:
    """How many masks overlap another, how many touch or overlap one, and how many pairs overlap."""
    if len(rles) < 2:
        return 0, 0, 0
    shared = masks.ious(rles) > 0
    np.fill_diagonal(shared, False)
    boxes = masks.boxes(rles)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    apart = np.maximum(low[:, None] - high[None], low[None] - high[:, None]).max(2)
    close = shared.copy()
    for one, two in np.argwhere(np.triu((apart <= GAP) & ~shared, 1)):
        if (close[one].any() and close[two].any()) or not _touch(rles[one], rles[two], boxes[one]):
            continue
        close[one, two] = close[two, one] = True
    return int(shared.any(1).sum()), int(close.any(1).sum()), int(np.triu(shared).sum())


def _touch(one: masks.Rle, two: masks.Rle, box: NDArray[np.float64]) -> bool:
    import cv2

    reach = GAP + 1
    x, y, width, height = (int(n) for n in box)
    window = x - reach, y - reach, width + 2 * reach, height + 2 * reach
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    grown = cv2.dilate(masks.crop(one, *window), disc)
    return bool((grown & masks.crop(two, *window)).any())
