"""HRNet that gives chosen maps, for models that do not take all four."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet.models.backbones import HRNet
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class PickedHRNet(HRNet):
    """MMDetection's HRNet, whose names and weights it keeps, with ``out_indices`` as other backbones have.

    Args:
        out_indices: which of the four maps (strides 4, 8, 16, 32) to give.
        kwargs: as HRNet's.
    """

    def __init__(self, out_indices: Sequence[int] = (0, 1, 2, 3), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.out_indices = tuple(out_indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of a batch N x 3 x H x W, in the order of ``out_indices``."""
        maps = super().forward(images)
        return tuple(maps[index] for index in self.out_indices)
