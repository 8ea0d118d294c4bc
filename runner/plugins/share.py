"""A part of the training images, the same one in every trial."""

from __future__ import annotations

from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.registry import DATASETS

from runner.share import kept


@DATASETS.register_module()
class StudyShareDataset(CocoDataset):
    """MMDetection's CocoDataset with a share of the images that it would train, spread over the label file.

    Args:
        share: above 0, up to 1.
    """

    def __init__(self, *args: Any, share: float, **kwargs: Any) -> None:
        self.share = share
        super().__init__(*args, **kwargs)

    def filter_data(self) -> list[dict[str, Any]]:
        """What MMDetection's filter leaves (images with objects), and of that the share."""
        left: list[dict[str, Any]] = super().filter_data()
        return [left[number] for number in kept(len(left), self.share)]
