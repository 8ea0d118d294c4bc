"""What an entry for a backbone is, and how the weights of it want their pixels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.catalog.base import Entry

# pixels as torchvision's and Hugging Face's ImageNet weights were trained on them, and the same in OpenCV's order
RGB: Mapping[str, Any] = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True}
BGR: Mapping[str, Any] = {"mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395], "bgr_to_rgb": False}

# its recipes are for 16 images, as the zoo's learning rates of the models are
ADAMW = "AdamW"


@dataclass(frozen=True)
class Backbone(Entry):
    """A backbone that gives four maps at strides 4, 8, 16 and 32.

    Attributes:
        config: its config at scale standard, as in MMDetection's zoo, without init_cfg and with BN for SyncBN.
            ``out_indices`` names the four maps, by the backbone's own counting.
        tiny: what changes at scale tiny.
        channels: channels of the four maps at standard.
        tiny_channels: the same at tiny.
        norm: its normalisation layers, for people: BN, LN or GRN.
        imagenet: where ImageNet weights lie, as the zoo's init_cfg has it (URL, torchvision://, open-mmlab://), or
            an id of the Hugging Face hub.
        prefix: what stands before the backbone's names in that checkpoint.
        pixels: mean, std and channel order those weights expect.
        fresh: regular expressions found in the names of tensors that no ImageNet checkpoint has: they start random.
        optimizer, lr, weight_decay: MMDetection's own recipe for it, ``lr`` for 16 images; None is the model's.
        neck: name of the neck made for it, which replaces a model's plain FPN.
        pick: registered type that takes ``out_indices``, where `config`'s own does not.
        parameters_m: millions of parameters at standard.
        memory_mb: MiB that forward and backward of one 256 x 256 image hold at standard: what autograd saves for
            the backward pass, plus a gradient for every parameter. Measured by benchmarks/catalog_cost.py.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    tiny: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    tiny_channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    norm: str = "BN"
    imagenet: str | None = None
    prefix: str | None = None
    pixels: Mapping[str, Any] = field(default_factory=lambda: RGB)
    fresh: tuple[str, ...] = ()
    optimizer: str | None = None
    lr: float | None = None
    weight_decay: float | None = None
    neck: str | None = None
    pick: str | None = None
    parameters_m: float = 0.0
    memory_mb: float = 0.0

    @property
    def family(self) -> str:
        """Its kin learn at a like pace: the letters that the name begins with, resnet of resnet18 and resnet50_rsb."""
        return "".join(itertools.takewhile(str.isalpha, self.name)) or self.name
