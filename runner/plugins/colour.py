"""Changes of grey value and colour that repeat with the trial's seed and leave an image of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms.utils import avoid_cache_randomness
from mmdet.datasets.transforms import Albu, PhotoMetricDistortion
from mmengine.registry import TRANSFORMS

Results = dict[str, Any]


@TRANSFORMS.register_module()
@avoid_cache_randomness
class StudyAlbu(Albu):
    """MMDetection's Albu with random numbers that follow NumPy's generator.

    Albumentations 2 draws from generators of its own, seeded by the operating system: no two trainings would be
    equal. Its own ``seed`` starts each loader alike and gives all transforms the same numbers, so that they would all
    act on the same images. Here each transform is seeded anew for each image.
    """

    def transform(self, results: Results) -> Results | None:
        """As MMDetection's."""
        for transform in self.aug.transforms:
            transform.set_random_seed(int(np.random.randint(2**31)))
        changed: Results | None = super().transform(results)
        return changed


@TRANSFORMS.register_module()
class StudyPhotoMetricDistortion(PhotoMetricDistortion):
    """MMDetection's PhotoMetricDistortion, rounded and cut to the bytes that other transforms take.

    MMDetection's leaves floats, also below 0 and above 255, on which Equalize and Albumentations fail.
    """

    def transform(self, results: Results) -> Results:
        """As MMDetection's."""
        results = super().transform(results)
        # in order of memory, too: swapped channels are a view that OpenCV does not draw or write into
        results["img"] = np.clip(np.rint(results["img"]), 0, 255).astype(np.uint8, order="C")
        return results
