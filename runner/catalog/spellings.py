"""What people and MMDetection's file names call the entries of the catalog, besides its names and titles."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from runner.catalog import PARTS

# part -> entry -> spellings; case, spaces and punctuation do not matter. A family's name stands for each of its sizes:
# whoever asks takes the one that can be chosen.
SPELLINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "model": {
        "cascade_mask_rcnn": ("cascade", "cascade R-CNN"),
        "ms_rcnn": ("mask scoring",),
        "htc": ("htc-without-semantic",),
        "rtmdet_ins": ("RTMDet",),
    },
    "backbone": {
        "resnet18": ("r18",),
        "resnet50": ("r50",),
        "resnet101": ("r101",),
        "resnext101_32x4d": ("x101-32x4d", "ResNeXt-101", "ResNeXt"),
        "resnext101_64x4d": ("x101-64x4d", "ResNeXt-101", "ResNeXt"),
        "resnet50_rsb": ("ResNet strikes back", "r50-rsb-pre", "rsb"),
        "resnet50_ga": ("generalized attention", "r50-attn1111"),
        "resnet50_gc": ("GCNet", "r50-gcb-r4-c3-c5", "r50-syncbn-gcb-r4-c3-c5"),
        "res2net101": ("Res2Net", "r2-101"),
        "regnetx_3_2gf": ("RegNet", "RegNetX"),
        "resnest50": ("ResNeSt", "s50"),
        "efficientnet_b3": ("EfficientNet", "effb3"),
        "hrnet_w32": ("HRNet", "HRNet V2"),
        "cspnext_s": ("CSPNeXt", "CSPNeXt-s"),
        "pvt_tiny": ("PVT", "pvt-t"),
        "pvtv2_b0": ("PVTv2",),
        "pvtv2_b2": ("PVTv2",),
        "swin_tiny": ("Swin", "Swin Transformer", "swin-t-p4-w7"),
        "convnext_tiny": ("ConvNeXt", "convnext-t-p4-w7"),
        "convnextv2_tiny": ("ConvNeXt V2",),
        "swinv2_tiny": ("Swin V2",),
        "dinov2_small": ("DINOv2", "DINOv2-S"),
    },
    "augmentation": {
        "none": ("no", "no augmentation"),
        "all": ("all augmentations",),
        "flip": ("horizontal flip",),
        "resize_1024x1024": ("resize 1024,1024",),
        "resize_1280x1024": ("resize 1280,1024",),
        "resize_1333x800": ("resize 1333,800",),
        "albu": ("albumentation", "albumentations", "albumentation (equalize, brightness, contrast)",
                 "albumentations (equalize, brightness, contrast)"),
        "random_resize": ("multiscale training",),
        "clahe": ("albumentation (CLAHE)", "albumentations (CLAHE)"),
    },
    "optimizer": {"ASGD": ("averaged SGD",)},
    "schedule": {"cosine": ("cosine decay",), "one_cycle": ("1cycle",), "poly": ("polynomial",)},
}  # fmt: skip


def meant(part: str, text: str) -> frozenset[str]:
    """Names of the entries that a text may stand for; none where nobody would know.

    The part's own word behind a name says nothing: ``all augmentation``, ``SGD optimizer``.
    """
    wanted = {plain(text), plain(re.sub(rf"\s+{part}s?\s*$", "", text, flags=re.IGNORECASE))}
    return frozenset(
        name
        for name, entry in PARTS.get(part, {}).items()
        if not wanted.isdisjoint(map(plain, (name, entry.title, *SPELLINGS[part].get(name, ()))))
    )


@functools.lru_cache(4096)
def plain(text: str) -> str:
    """A text by its letters and digits alone."""
    return re.sub(r"[\W_]+", "", text).lower()
