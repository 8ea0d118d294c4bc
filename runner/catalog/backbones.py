"""Backbones: name -> MMDetection backbone config, at both scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.catalog.base import Entry


@dataclass(frozen=True)
class Backbone(Entry):
    """A backbone that gives four maps at strides 4, 8, 16 and 32.

    Attributes:
        config: its config at scale standard, as in MMDetection's zoo, without init_cfg.
        tiny: what changes at scale tiny.
        channels: channels of the four maps at standard.
        tiny_channels: the same at tiny.
        imagenet: checkpoint of ImageNet weights, for ``pretrained: imagenet``.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    tiny: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    tiny_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    imagenet: str | None = None


_RESNET = {
    "type": "ResNet",
    "num_stages": 4,
    "out_indices": (0, 1, 2, 3),
    "frozen_stages": 1,
    "norm_cfg": {"type": "BN", "requires_grad": True},
    "norm_eval": True,
    "style": "pytorch",
}

BACKBONES = {
    entry.name: entry
    for entry in (
        Backbone(
            "resnet18", "ResNet-18", "arXiv:1512.03385",
            config={**_RESNET, "depth": 18},
            tiny={"base_channels": 16},
            channels=(64, 128, 256, 512),
            tiny_channels=(16, 32, 64, 128),
            imagenet="torchvision://resnet18",
        ),
        Backbone(
            "resnet50", "ResNet-50", "arXiv:1512.03385",
            config={**_RESNET, "depth": 50},
            tiny={"base_channels": 16},
            imagenet="torchvision://resnet50",
        ),
        Backbone(
            "resnext101_32x4d", "ResNeXt-101-32x4d", "arXiv:1611.05431",
            config={**_RESNET, "type": "ResNeXt", "depth": 101, "groups": 32, "base_width": 4},
            tiny={"base_channels": 16, "groups": 8},
            imagenet="open-mmlab://resnext101_32x4d",
        ),
    )
}  # fmt: skip
