"""Batch normalisation that a batch of one image does not break."""

from __future__ import annotations

from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class LenientBN(nn.BatchNorm2d):
    """torch's BatchNorm2d, which takes the running statistics where a channel has a single value.

    ResNeSt's split attention normalises maps pooled to 1 x 1: with one image, as in the last batch of an epoch,
    torch refuses to take statistics of one number.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The normalised map; x is N x C x H x W."""
        if self.training and x.numel() == x.shape[1]:
            self.eval()
            out: Tensor = super().forward(x)
            self.train()
            return out
        result: Tensor = super().forward(x)
        return result
