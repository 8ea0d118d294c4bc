"""Augmentations that put several images together. They keep masks, and nothing from one image to the next."""

from __future__ import annotations

import math
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets import MultiImageMixDataset
from mmdet.datasets.transforms import CopyPaste, Pad, RandomCrop, RandomFlip
from mmdet.structures.mask import BitmapMasks
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS

from runner.plugins.geometry import ALIGNED, Results, boxes_from_masks

_DRAWS = 1000  # as mmengine's BaseDataset.max_refetch
_FLIPS = ["horizontal", "vertical", "diagonal"]


@DATASETS.register_module()
class StudyMixDataset(MultiImageMixDataset):
    """MMDetection's MultiImageMixDataset that draws another image where a transform finds none of use.

    MMDetection's tries the same transform on the same image 15 times, then ends the training; and it copies all
    masks before each transform.
    """

    def __getitem__(self, index: int) -> Results:
        """The image of that number through the pipeline, else one drawn by NumPy's generator.

        Raises:
            RuntimeError: the pipeline leaves no object on any image.
        """
        for _ in range(_DRAWS):
            results = self._mixed(index)
            if results is not None:
                return results
            index = int(np.random.randint(len(self)))
        raise RuntimeError(f"no image with an object after {_DRAWS} draws: the augmentations leave none")

    def _mixed(self, index: int) -> Results | None:
        results: Results | None = self.dataset[index]
        for transform in self.pipeline:
            if results is None:
                return None
            if hasattr(transform, "get_indexes"):
                results["mix_results"] = [self.dataset[other] for other in transform.get_indexes(self.dataset)]
            results = transform(results)
        return results


class _Mixing:
    """Draws whether other images are mixed in, and which, before they are loaded."""

    prob: float
    others: int

    def get_indexes(self, dataset: BaseDataset) -> list[int]:
        """Numbers of the other images; none where nothing happens to this one."""
        if np.random.rand() >= self.prob:
            return []
        return [int(number) for number in np.random.randint(len(dataset), size=self.others)]


@TRANSFORMS.register_module()
class StudyCopyPaste(_Mixing, CopyPaste):
    """MMDetection's CopyPaste (arXiv:2012.07177) of objects of another image, flipped at random.

    MMDetection's takes only images of equal size, leaves an image of 64-bit integers, keeps small objects that are
    hidden, and never draws its limit.

    Args:
        prob: share of images that are pasted onto.
        max_num_pasted: at most so many objects are pasted.
        min_area: pixels an object must still have, smaller ones are taken out.
    """

    others = 1

    def __init__(self, prob: float = 0.5, max_num_pasted: int = 100, min_area: int = 4) -> None:
        super().__init__(max_num_pasted=max_num_pasted + 1, bbox_occluded_thr=0, mask_occluded_thr=0)
        self.prob = prob
        self.min_area = min_area

    def transform(self, results: Results) -> Results | None:
        """Pastes; an image without a partner stays as it is."""
        others, image = results.pop("mix_results"), results["img"]
        if not others:
            return results
        height, width = image.shape[:2]
        source = RandomFlip(prob=[0.25] * 3, direction=_FLIPS)(others[0])
        source = RandomCrop((width, height), allow_negative_crop=True)(source)
        source = Pad(size=(width, height))(source)
        mixed = super().transform({**results, "mix_results": [source]})
        del mixed["mix_results"]
        mixed["img"] = mixed["img"].astype(image.dtype)
        return boxes_from_masks(mixed, self.min_area)


@TRANSFORMS.register_module()
class StudyMosaic(_Mixing, BaseTransform):
    """Four images that meet in a point of a canvas as large as the first of them (arXiv:2004.10934).

    MMDetection's Mosaic has no masks and doubles the size of the image; its CachedMosaic takes the other images from
    a cache that a resumed training does not have.

    Args:
        prob: share of images made into a mosaic.
        scale_range: (low, high) each image is scaled by, drawn for each; 1 leaves objects their size.
        center_ratio_range: (low, high) where the images meet, as a share of width and height.
        pad_val: grey value where no image reaches.
        min_area: pixels an object must still have, smaller ones are taken out.
    """

    others = 3

    def __init__(
        self,
        prob: float = 0.5,
        scale_range: tuple[float, float] = (0.5, 1.0),
        center_ratio_range: tuple[float, float] = (0.25, 0.75),
        pad_val: int = 114,
        min_area: int = 4,
    ) -> None:
        self.prob, self.scale_range, self.center_ratio_range = prob, scale_range, center_ratio_range
        self.pad_val, self.min_area = pad_val, min_area

    def transform(self, results: Results) -> Results | None:
        """Puts the four together; an image without partners stays as it is."""
        others = results.pop("mix_results")
        if not others:
            return results
        canvas = np.full_like(results["img"], self.pad_val)
        height, width = canvas.shape[:2]
        middle = [int(np.random.uniform(*self.center_ratio_range) * side) for side in (height, width)]
        kept: dict[str, list[Any]] = {name: [] for name in ALIGNED}
        places: list[tuple[slice, slice]] = []
        for corner, image in enumerate((results, *others)):
            h, w = image["img"].shape[:2]
            factor = np.random.uniform(*self.scale_range) * min(height / h, width / w)
            rows, to_rows = _span(h, factor, height, middle[0], before=corner < 2)
            columns, to_columns = _span(w, factor, width, middle[1], before=corner % 2 == 0)
            seen = (to_rows.stop - to_rows.start, to_columns.stop - to_columns.start)
            canvas[to_rows, to_columns] = mmcv.imresize(image["img"][rows, columns], seen[::-1])
            masks = image["gt_masks"].crop(np.array([columns.start, rows.start, columns.stop, rows.stop])).resize(seen)
            large = np.flatnonzero(masks.areas >= self.min_area)
            kept["gt_masks"] += list(masks.masks[large])
            places += [(to_rows, to_columns)] * len(large)
            for name in ALIGNED:
                if name != "gt_masks":
                    kept[name].append(image[name][large])
        whole = np.zeros((len(places), height, width), dtype=np.uint8)
        for mask, (to_rows, to_columns), part in zip(whole, places, kept["gt_masks"], strict=True):
            mask[to_rows, to_columns] = part
        results["img"], results["img_shape"] = canvas, (height, width)
        results["gt_masks"] = BitmapMasks([], height, width)
        results["gt_masks"].masks = whole  # given to the constructor it would be copied
        results["gt_bboxes"] = type(results["gt_bboxes"]).cat(kept["gt_bboxes"])
        for name in ("gt_bboxes_labels", "gt_ignore_flags"):
            results[name] = np.concatenate(kept[name])
        return boxes_from_masks(results, self.min_area)


def _span(side: int, factor: float, full: int, middle: int, before: bool) -> tuple[slice, slice]:
    """Along one axis: what of a part is seen that touches `middle` (before it or after it), and where it goes."""
    seen = max(1, min(round(side * factor), middle if before else full - middle))
    taken = min(side, math.ceil(seen / factor))
    if before:
        return slice(side - taken, side), slice(middle - seen, middle)
    return slice(0, taken), slice(middle, middle + seen)
