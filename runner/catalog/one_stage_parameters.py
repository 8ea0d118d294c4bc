"""Parameters of the models without proposals: by grids (SOLO), by points (RTMDet, CondInst), by queries."""

from __future__ import annotations

from runner.catalog.base import Parameter
from runner.catalog.parameter_groups import (
    MASK_THRESHOLD,
    NMS,
    Group,
    box_losses,
    iou,
    mask_sizes,
    score,
    simple,
    weight,
)
from runner.catalog.roi_parameters import ROI_MASKS

SOLO = Group(
    {
        "score_threshold": score(0.1),
        "filter_threshold": Parameter(
            "float", None, 0, 0.95, help="the same after matrix NMS; MMDetection's own: 0.05"
        ),
        "mask_threshold": MASK_THRESHOLD,
        "nms_kernel": Parameter(
            "str", None, choices=("gaussian", "linear"), help="how overlap lowers a score; MMDetection's own: gaussian"
        ),
        "nms_sigma": Parameter("float", None, 0.1, 10, log=True, help="of the gaussian kernel; MMDetection's own: 2"),
        "positive_scale": Parameter("float", None, 0.05, 1, help="share of a box whose cells learn it; own: 0.2"),
        "mask_loss_weight": weight("mask", 3),
    },
    {
        "score_threshold": ("test_cfg.score_thr",),
        "filter_threshold": ("test_cfg.filter_thr",),
        "mask_threshold": ("test_cfg.mask_thr",),
        "nms_kernel": ("test_cfg.kernel",),
        "nms_sigma": ("test_cfg.sigma",),
        "positive_scale": ("mask_head.pos_scale",),
        "mask_loss_weight": ("mask_head.loss_mask.loss_weight",),
    },
)


def _one_stage(mask_threshold: str, mask_stride: str, mask_loss: str, mask_weight: float, box_weight: float) -> Group:
    """RTMDet-Ins and CondInst: dense boxes, NMS, masks by kernels of their own."""
    losses = {
        name: {"type": f"{kind}Loss", "loss_weight": box_weight}
        for name, kind in (("giou", "GIoU"), ("iou", "IoU"), ("diou", "DIoU"), ("ciou", "CIoU"))
    }
    return Group(
        {
            "nms_iou": iou(NMS, 0.6),
            "score_threshold": score(0.05),
            "mask_threshold": MASK_THRESHOLD,
            "mask_stride": Parameter(
                "int", None, choices=(2, 4, 8), help="pixels of the image a pixel of a learned mask; own: 4"
            ),
            "mask_loss_weight": weight("mask", mask_weight),
        },
        {
            "nms_iou": ("test_cfg.nms.iou_threshold",),
            "score_threshold": ("test_cfg.score_thr",),
            "mask_threshold": (mask_threshold,),
            "mask_stride": (mask_stride,),
            "mask_loss_weight": (mask_loss,),
        },
    ) | box_losses("bbox_head.loss_bbox", "giou", **losses)


RTMDET = _one_stage(
    "test_cfg.mask_thr_binary", "bbox_head.mask_loss_stride", "bbox_head.loss_mask.loss_weight", 2, 2.0
) | simple(
    "candidates", Parameter("int", None, 1, 50, help="points that may learn an object; MMDetection's own: 13"),
    "train_cfg.assigner.topk",
)  # fmt: skip
CONDINST = _one_stage(
    "test_cfg.mask_thr", "mask_head.mask_out_stride", "mask_head.loss_mask.loss_weight", 1, 1.0
) | simple(
    "center_radius", Parameter("float", None, 0.5, 4, help="points this near an object's centre, in strides; own: 1.5"),
    "bbox_head.center_sample_radius",
)  # fmt: skip

_QUERIES = Parameter("int", None, 10, 2000, log=True, help="objects an image may have; MMDetection's own: 100, fitted")
_COST = "train_cfg.assigner.match_costs."


def _cost(what: str, own: float, loss: str, cost: int) -> Group:
    """A loss and the cost of the assigner that MMDetection gives the same weight."""
    name = {"class": "class_loss_weight", "mask": "mask_loss_weight", "dice": "dice_loss_weight"}[what]
    return simple(name, weight(what, own), f"panoptic_head.{loss}.loss_weight", f"{_COST}{cost}.weight")


MASK2FORMER = (
    simple("queries", _QUERIES, "panoptic_head.num_queries")
    | simple(
        "decoder_layers", Parameter("int", 9, 1, 12, tiny=3, help="layers of the decoder"),
        "panoptic_head.transformer_decoder.num_layers",
    )
    | simple(
        "points", Parameter("int", 12544, 64, 50176, tiny=1024, help="points of a mask matched and learned from"),
        "train_cfg.num_points",
    )
    | simple(
        "no_object_weight", Parameter("float", None, 0.01, 1, log=True, help="of queries without object; own: 0.1"),
        "panoptic_head.loss_cls.class_weight.-1",
    )
    | _cost("class", 2, "loss_cls", 0)
    | _cost("mask", 5, "loss_mask", 1)
    | _cost("dice", 5, "loss_dice", 2)
)  # fmt: skip
QUERYINST = (
    simple("queries", _QUERIES, "rpn_head.num_proposals")
    | simple("mask_threshold", MASK_THRESHOLD, "test_cfg.rcnn.mask_thr_binary")
    | simple("mask_loss_weight", weight("mask", 8), "roi_head.mask_head.*.loss_mask.loss_weight")
    | box_losses(
        "roi_head.bbox_head.*.loss_iou", "giou, beside L1",
        giou={"type": "GIoULoss", "loss_weight": 2.0}, diou={"type": "DIoULoss", "loss_weight": 2.0},
        ciou={"type": "CIoULoss", "loss_weight": 2.0},
    )
    | mask_sizes({
        **ROI_MASKS, "roi_head.mask_head.*.roi_feat_size": 0.5,
        "roi_head.mask_head.*.dynamic_conv_cfg.input_feat_shape": 0.5,
    })
    | Group({"stages": Parameter("int", 6, 1, 6, tiny=3, help="stages of the cascade of queries")})
)  # fmt: skip
