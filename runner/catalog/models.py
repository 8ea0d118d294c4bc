"""Models: name -> the zoo config they come from, what is taken out, and how all of them shrink at scale tiny."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.catalog.base import Entry


@dataclass(frozen=True)
class Model(Entry):
    """A model.

    Attributes:
        zoo: its config below ``mmdet/.mim/configs``.
        drop: dotted paths taken out of the zoo config (branches that want labels we do not have).
        boxes: whether it predicts boxes beside masks.
        backbone: the zoo config's own backbone, the default at scale standard.
        optimizer: the default optimizer by scale.
        lr: the zoo's learning rate for 16 images.
        maps: which of the backbone's four maps (strides 4, 8, 16, 32) it takes.
        takes: dotted paths in the model that are told the channels of those maps.
    """

    zoo: str = ""
    drop: tuple[str, ...] = ()
    boxes: bool = True
    backbone: str = "resnet50"
    optimizer: Mapping[str, str] = field(default_factory=lambda: {"standard": "SGD", "tiny": "AdamW"})
    lr: float = 0.02
    maps: tuple[int, ...] = (0, 1, 2, 3)
    takes: tuple[str, ...] = ("neck.in_channels",)


# At scale tiny every value below `model` in the zoo config that stands here under its key is replaced, so any
# model shrinks by the same rules: a quarter of the channels, half the convolutions, an eighth of the samples.
TINY: Mapping[str, Mapping[Any, Any]] = {
    "out_channels": {256: 64},
    "in_channels": {256: 64, 1024: 128},
    "feat_channels": {256: 64, 512: 64, 128: 32},
    "conv_out_channels": {256: 64},
    "out_conv_channels": {256: 64},
    "fc_out_channels": {1024: 128},
    "num_convs": {4: 2, 12: 4},
    "stacked_convs": {4: 2},
    "num": {512: 64, 256: 128},
    "nms_pre": {2000: 512, 1000: 256},
    "max_per_img": {2000: 256, 1000: 128},
}

MODELS = {
    entry.name: entry
    for entry in (
        Model("mask_rcnn", "Mask R-CNN", "arXiv:1703.06870", zoo="mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"),
        Model(
            "cascade_mask_rcnn", "Cascade Mask R-CNN", "arXiv:1906.09756",
            zoo="cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py",
        ),
        Model("ms_rcnn", "Mask Scoring R-CNN", "arXiv:1903.00241", zoo="ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py"),
        Model(
            "htc", "Hybrid Task Cascade", "arXiv:1901.07518",
            zoo="htc/htc-without-semantic_r50_fpn_1x_coco.py",
        ),
        Model(
            "scnet", "SCNet", "arXiv:2012.10150", zoo="scnet/scnet_r50_fpn_1x_coco.py",
            drop=(
                "data_preprocessor.pad_seg", "roi_head.semantic_head", "roi_head.semantic_roi_extractor",
            ),
        ),
        Model(
            "solov2", "SOLOv2", "arXiv:2003.10152", zoo="solov2/solov2_r50_fpn_1x_coco.py",
            boxes=False, lr=0.01,
        ),
    )
}  # fmt: skip
