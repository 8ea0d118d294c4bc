"""Parameters of the models with a region proposal network: the R-CNNs and their cascades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.catalog.base import Parameter
from runner.catalog.parameter_groups import MASK_THRESHOLD, NMS, Group, Ordered, iou, mask_sizes, score, simple, weight


def _decoded(type_: str, weight: float) -> Mapping[str, Any]:
    return {"roi_head.bbox_head.*.loss_bbox": {"type": type_, "loss_weight": weight},
            "roi_head.bbox_head.*.reg_decoded_bbox": True}  # fmt: skip


def _encoded(loss: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"roi_head.bbox_head.*.loss_bbox": dict(loss), "roi_head.bbox_head.*.reg_decoded_bbox": False}


RPN = Group(
    {
        "rpn_pos_iou": iou("IoU from which an anchor is an object", 0.7),
        "rpn_neg_iou": iou("IoU below which an anchor is background", 0.3),
        "rpn_min_iou": Parameter(
            "float", None, 0, 0.95, help="IoU from which an object's best anchor counts as it; MMDetection's own: 0.3"
        ),
        "rpn_nms_iou": iou("of two proposals that overlap more the lower score goes", 0.7),
        "anchor_scale": Parameter(
            "float", None, 0.5, 64, log=True, help="side of an anchor in strides; own: 8, fitted"
        ),
    },
    {
        "rpn_pos_iou": ("train_cfg.rpn.assigner.pos_iou_thr",),
        "rpn_neg_iou": ("train_cfg.rpn.assigner.neg_iou_thr",),
        "rpn_min_iou": ("train_cfg.rpn.assigner.min_pos_iou",),
        "rpn_nms_iou": ("train_cfg.rpn_proposal.nms.iou_threshold", "test_cfg.rpn.nms.iou_threshold"),
        "anchor_scale": ("rpn_head.anchor_generator.scales.0",),
    },
    ordered=(Ordered("rpn_neg_iou", 0.3, "rpn_pos_iou", 0.7),),
)

# What the second stage of every R-CNN has. IoU losses want decoded boxes; their weights are those of
# configs/faster_rcnn/faster-rcnn_r50_fpn_{g,c}iou_1x_coco.py.
_RCNN = Group(
    {
        "nms_iou": iou(NMS, 0.5),
        "nms": Parameter("str", None, choices=("nms", "soft_nms"), help="soft_nms lowers scores only; own: nms"),
        "score_threshold": score(0.05),
        "mask_threshold": MASK_THRESHOLD,
        "mask_loss_weight": weight("mask", 1),
        "loss_bbox": Parameter(
            "str", None, choices=("l1", "smooth_l1", "giou", "ciou"),
            help="loss of boxes; MMDetection's own: l1, in a cascade smooth_l1",
        ),
        "loss_cls": Parameter(
            "str", None, choices=("cross_entropy", "focal"), help="loss of classes; MMDetection's own: cross_entropy"
        ),
    },
    {
        "nms_iou": ("test_cfg.rcnn.nms.iou_threshold",),
        "nms": ("test_cfg.rcnn.nms.type",),
        "score_threshold": ("test_cfg.rcnn.score_thr",),
        "mask_threshold": ("test_cfg.rcnn.mask_thr_binary",),
        "mask_loss_weight": ("roi_head.mask_head.*.loss_mask.loss_weight",),
    },
    {
        "loss_bbox": {
            "l1": _encoded({"type": "L1Loss", "loss_weight": 1.0}),
            "smooth_l1": _encoded({"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0}),
            "giou": _decoded("GIoULoss", 10.0),
            "ciou": _decoded("CIoULoss", 12.0),
        },
        "loss_cls": {
            "cross_entropy": {
                "roi_head.bbox_head.*.loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
            },
            "focal": {
                "roi_head.bbox_head.*.loss_cls": {
                    "type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0
                }
            },
        },
    },
)  # fmt: skip

_ASSIGNER = "train_cfg.rcnn.*.assigner."
RCNN = RPN | _RCNN | Group(
    {
        "pos_iou": iou("IoU from which a proposal is an object", 0.5),
        "neg_iou": iou("IoU below which a proposal is background; default: pos_iou"),
    },
    # in this order: MMDetection's three are one number, and neg_iou alone opens a gap
    {
        "pos_iou": (_ASSIGNER + "pos_iou_thr", _ASSIGNER + "min_pos_iou", _ASSIGNER + "neg_iou_thr"),
        "neg_iou": (_ASSIGNER + "neg_iou_thr",),
    },
    ordered=(Ordered("neg_iou", 0.0, "pos_iou", 0.5),),
)  # fmt: skip
CASCADE = RPN | _RCNN | Group(
    {
        "iou_low": iou("IoU from which a proposal is an object, first stage", 0.5),
        "iou_high": iou("the same for the last stage, evenly between for the others", 0.7),
    },
    spread=(_ASSIGNER + "pos_iou_thr", _ASSIGNER + "neg_iou_thr", _ASSIGNER + "min_pos_iou"),
    ordered=(Ordered("iou_low", 0.5, "iou_high", 0.7),),
)  # fmt: skip
ROI_MASKS = {"roi_head.mask_roi_extractor.roi_layer.output_size": 0.5, "train_cfg.rcnn.*.mask_size": 1.0}

MS_RCNN = (
    RCNN
    | simple("mask_threshold", MASK_THRESHOLD, "test_cfg.rcnn.mask_thr_binary", "train_cfg.rcnn.mask_thr_binary")
    # its mask IoU head halves the RoI, which must be even
    | mask_sizes({**ROI_MASKS, "roi_head.mask_iou_head.roi_feat_size": 0.5}, sizes=(28, 56))
)
SCNET = CASCADE | mask_sizes({**ROI_MASKS, "roi_head.feat_relay_head.scale_factor": 1 / 14})
POINT_REND = (
    RCNN
    | Group(
        {
            "mask_size": Parameter(
                "int", 224, choices=(28, 56, 112, 224), tiny=56, help="side of a refined mask in pixels"
            )
        },
        choices={"mask_size": {7 * 2**n: {"test_cfg.rcnn.subdivision_steps": n} for n in (2, 3, 4, 5)}},
    )
    | simple(
        "points", Parameter("int", 196, 16, 784, help="points of a mask learned from"), "train_cfg.rcnn.num_points"
    )
)
