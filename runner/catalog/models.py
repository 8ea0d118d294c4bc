"""Models: name -> the zoo config they come from, what differs from it, and how all of them shrink at scale tiny."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.catalog import one_stage_parameters as one_stage
from runner.catalog import roi_parameters as roi
from runner.catalog.base import Entry
from runner.catalog.parameter_groups import Group, mask_sizes


@dataclass(frozen=True)
class Model(Entry):
    """A model.

    Paths are dotted and begin below ``model`` in the MMDetection config.

    Attributes:
        zoo: its config below ``mmdet/.mim/configs``.
        drop: paths taken out of the zoo config (branches that want labels we do not have).
        values: path -> what is written there at both scales, over the zoo's.
        group: its parameters and where they are written; ``parameters`` are the group's.
        boxes: whether it predicts boxes beside masks.
        backbone: the zoo config's own backbone, the default at scale standard.
        optimizer: the default optimizer by scale.
        lr: the zoo's learning rate, made for ``zoo_batch`` images.
        zoo_batch: images of an iteration in the zoo.
        weight_decay: the zoo's, for the optimizer at standard.
        maps: which of the backbone's four maps (strides 4, 8, 16, 32) it takes.
        takes: paths that are told the channels of those maps.
        queries: path of the number of objects it can find in an image; empty where nothing limits it.
        parameters_m: millions of parameters at standard with `backbone` and one class.
    """

    zoo: str = ""
    drop: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    group: Group = field(default_factory=Group)
    boxes: bool = True
    backbone: str = "resnet50"
    optimizer: Mapping[str, str] = field(default_factory=lambda: {"standard": "SGD", "tiny": "AdamW"})
    lr: float = 0.02
    zoo_batch: int = 16
    weight_decay: float = 0.0001
    maps: tuple[int, ...] = (0, 1, 2, 3)
    takes: tuple[str, ...] = ("neck.in_channels",)
    queries: str = ""
    parameters_m: float = 0.0

    def contradiction(self, params: Mapping[str, Any]) -> str | None:
        """Which two parameters cannot stand together, as one line for people; None where all can.

        MMDetection takes an upper bound of background above the lower bound of objects without a word, and what
        lies between becomes an object (mmdet/models/task_modules/assigners/max_iou_assigner.py, step 3).
        """
        for pair in self.group.ordered:
            low, high = params.get(pair.low), params.get(pair.high)
            lowest = pair.low_own if low is None else low
            highest = pair.high_own if high is None else high
            if lowest > highest:
                found = f"{pair.low} {lowest:g}{_own(low)} above {pair.high} {highest:g}{_own(high)}"
                return f"{self.name}: expected {pair.low} of at most {pair.high}, found {found}"
        return None


def _own(value: float | None) -> str:
    return " (MMDetection's own)" if value is None else ""


# At scale tiny every value below `model` in the zoo config that stands here under its key is replaced, so any
# model shrinks by the same rules: a quarter of the channels, half the convolutions, an eighth of the samples.
TINY: Mapping[str, Mapping[Any, Any]] = {
    "out_channels": {256: 64, 128: 32},
    "in_channels": {256: 64, 1024: 128, 128: 32},
    "feat_channels": {256: 64, 512: 64, 128: 32, 64: 16},
    "conv_out_channels": {256: 64},
    "out_conv_channels": {256: 64},
    "fc_out_channels": {1024: 128},
    "fc_channels": {256: 64},
    "proposal_feature_channel": {256: 64},
    "embed_dims": {256: 64},
    "num_feats": {128: 32},
    "feedforward_channels": {1024: 128, 2048: 256},
    "num_convs": {4: 2, 12: 4},
    "stacked_convs": {4: 2},
    "num_stacked_convs": {4: 2},
    "num_layers": {6: 2},
    "num": {512: 64, 256: 128},
    "nms_pre": {2000: 512, 1000: 256},
    "max_per_img": {2000: 256, 1000: 128},
    "max_masks_to_train": {300: 100},
}

_ADAMW = {"standard": "AdamW", "tiny": "AdamW"}


def _model(name: str, title: str, source: str, zoo: str, group: Group, **changes: Any) -> Model:
    return Model(name, title, source, group.parameters, zoo=zoo, group=group, **changes)


MODELS = {
    entry.name: entry
    for entry in (
        _model(
            "mask_rcnn", "Mask R-CNN", "arXiv:1703.06870", "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
            roi.RCNN | mask_sizes(roi.ROI_MASKS),
            parameters_m=43.97,
        ),
        _model(
            "cascade_mask_rcnn", "Cascade Mask R-CNN", "arXiv:1906.09756",
            "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py",
            roi.CASCADE | mask_sizes(roi.ROI_MASKS),
            parameters_m=77.02,
        ),
        _model(
            "ms_rcnn", "Mask Scoring R-CNN", "arXiv:1903.00241", "ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py", roi.MS_RCNN,
            parameters_m=60.23,
        ),
        _model(
            "htc", "Hybrid Task Cascade", "arXiv:1901.07518", "htc/htc-without-semantic_r50_fpn_1x_coco.py",
            roi.CASCADE | mask_sizes(roi.ROI_MASKS),
            parameters_m=77.15,
        ),
        _model(
            "scnet", "SCNet", "arXiv:2012.10150", "scnet/scnet_r50_fpn_1x_coco.py", roi.SCNET,
            drop=(
                "data_preprocessor.pad_seg", "roi_head.semantic_head", "roi_head.semantic_roi_extractor",
            ),
            parameters_m=91.71,
        ),
        _model(
            "solov2", "SOLOv2", "arXiv:2003.10152", "solov2/solov2_r50_fpn_1x_coco.py", one_stage.SOLO,
            boxes=False, lr=0.01,
            parameters_m=46.23,
        ),
        # The size whose COCO mask mAP is above Mask R-CNN's (38.7 to 34.7) with a quarter of its parameters: medium
        # and larger ones pay on hundreds of thousands of images, not on hundreds.
        _model(
            "rtmdet_ins", "RTMDet-Ins-s", "arXiv:2212.07784", "rtmdet/rtmdet-ins_s_8xb32-300e_coco.py",
            one_stage.RTMDET,
            # the zoo pads to 640 x 640 in its pipeline; its head makes masks of another size than the image's
            values={
                "data_preprocessor.pad_size_divisor": 32, "data_preprocessor.pad_mask": True,
                "bbox_head.type": "TrueSizeRTMDetInsHead",
            },
            backbone="cspnext_s", optimizer=_ADAMW, lr=0.004, zoo_batch=256, weight_decay=0.05, maps=(1, 2, 3),
            parameters_m=10.15,
        ),
        _model(
            "mask2former", "Mask2Former", "arXiv:2112.01527", "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
            one_stage.MASK2FORMER,
            drop=("data_preprocessor.batch_augments",),  # pads to 1024 x 1024
            optimizer=_ADAMW, lr=0.0001, weight_decay=0.05, takes=("panoptic_head.in_channels",),
            queries="panoptic_head.num_queries",
            parameters_m=44.03,
        ),
        _model(
            "queryinst", "QueryInst", "arXiv:2105.01928", "queryinst/queryinst_r50_fpn_1x_coco.py", one_stage.QUERYINST,
            values={
                "roi_head.bbox_head.*.type": "LenientDIIHead", "roi_head.mask_head.*.type": "InsideDynamicMaskHead",
            },
            optimizer=_ADAMW, lr=0.0001, queries="rpn_head.num_proposals",
            parameters_m=172.46,
        ),
        _model(
            "point_rend", "PointRend", "arXiv:1912.08193", "point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py",
            roi.POINT_REND, values={"roi_head.type": "LenientPointRendRoIHead"},
            parameters_m=55.75,
        ),
        _model(
            "condinst", "CondInst", "arXiv:2003.05664", "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py",
            one_stage.CONDINST, lr=0.01,
            parameters_m=33.98,
        ),
    )
}  # fmt: skip
