"""Batches in which no image has an object: MMDetection's PointRend stops there and QueryInst's loss explodes."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.roi_heads import PointRendRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import DIIHead
from mmdet.registry import MODELS


@MODELS.register_module()
class LenientPointRendRoIHead(PointRendRoIHead):
    """PointRend whose point loss is 0 where there is no object, as the other losses of masks are.

    Source: mmdet/models/roi_heads/point_rend_roi_head.py, which asserts that there is one.
    """

    def mask_loss(self, x: Any, sampling_results: Any, bbox_feats: Any, batch_gt_instances: Any) -> dict[str, Any]:
        """The losses of masks and points; with objects they are MMDetection's own."""
        if any(len(result.pos_priors) for result in sampling_results):
            found: dict[str, Any] = super().mask_loss(x, sampling_results, bbox_feats, batch_gt_instances)
            return found
        empty: dict[str, Any] = StandardRoIHead.mask_loss(self, x, sampling_results, bbox_feats, batch_gt_instances)
        empty["loss_mask"]["loss_point"] = sum(p.sum() for p in self.point_head.parameters()) * 0
        return empty


@MODELS.register_module()
class LenientDIIHead(DIIHead):
    """QueryInst's box head with the class loss of a batch without objects divided by 1 instead of 0.

    MMDetection divides by the number of objects plus the smallest float (mmdet/models/losses/utils.py), which makes
    a loss of 1e5 and more.
    """

    def loss_and_target(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Losses and targets; with objects they are MMDetection's own."""
        found: dict[str, Any] = super().loss_and_target(*args, **kwargs)
        labels = found["bbox_targets"][0]
        if not ((labels >= 0) & (labels < self.num_classes)).any():
            found["loss_bbox"]["loss_cls"] = found["loss_bbox"]["loss_cls"] * torch.finfo(torch.float32).eps
        return found
