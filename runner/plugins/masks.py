"""Predicted masks that MMDetection gets wrong. Weights and losses are those of its own heads."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.dense_heads.rtmdet_ins_head import RTMDetInsSepBNHead
from mmdet.models.roi_heads.mask_heads import DynamicMaskHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import scale_boxes
from mmengine.structures import InstanceData


@MODELS.register_module()
class TrueSizeRTMDetInsHead(RTMDetInsSepBNHead):
    """RTMDet-Ins' head with masks of the image's size.

    MMDetection's takes the factor of the width for the masks' height and the other way round (its issue 11230). An
    image of 1280 x 1024 shrunk to 256 x 205 has the factors 0.2 and 0.2002: its masks come out 1279 wide, and COCO's
    evaluation counts masks of another size than the image's as misses, without a word.
    """

    def _bbox_mask_post_process(
        self,
        results: InstanceData,
        mask_feat: torch.Tensor,
        cfg: Any,
        rescale: bool = False,
        with_nms: bool = True,
        img_meta: dict[str, Any] | None = None,
    ) -> InstanceData:
        if rescale:
            assert img_meta is not None
            width, height = img_meta["scale_factor"]
            # the parent divides the boxes by the swapped factors
            results.bboxes = scale_boxes(results.bboxes, (height / width, width / height))
            img_meta = {**img_meta, "scale_factor": (height, width)}
        return super()._bbox_mask_post_process(results, mask_feat, cfg, rescale, with_nms, img_meta)


@MODELS.register_module()
class InsideDynamicMaskHead(DynamicMaskHead):
    """QueryInst's mask head for boxes that lie beside the image: their masks are empty.

    QueryInst does not clip its boxes, and a CPU cannot paste a mask into a box outside (hustvl/QueryInst, issue 41).
    """

    def _predict_by_feat_single(
        self,
        mask_preds: torch.Tensor,
        bboxes: torch.Tensor,
        labels: torch.Tensor,
        img_meta: dict[str, Any],
        rcnn_test_cfg: Any,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> torch.Tensor:
        height, width = img_meta["img_shape"][:2]
        beside = (bboxes[:, 2:] <= 0).any(1) | (bboxes[:, 0] >= width) | (bboxes[:, 1] >= height)
        placed = bboxes.clone()
        placed[beside] = bboxes.new_tensor([0, 0, width, height])
        masks: torch.Tensor = super()._predict_by_feat_single(
            mask_preds, placed, labels, img_meta, rcnn_test_cfg, rescale, activate_map
        )
        masks[beside] = 0
        if rescale:  # in place, as the parent does
            bboxes /= bboxes.new_tensor(img_meta["scale_factor"]).repeat((1, 2))
        return masks
