"""What can be chosen: models, backbones, augmentations, optimizers, schedules.

Plain data, free of torch, so that a slim server can check a space. ``runner.render`` turns it into configs.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.catalog.augmentations import AUGMENTATIONS
from runner.catalog.backbones import BACKBONES
from runner.catalog.base import Entry, Parameter
from runner.catalog.models import MODELS
from runner.catalog.optimizers import OPTIMIZERS
from runner.catalog.schedules import SCHEDULES

PARTS: Mapping[str, Mapping[str, Entry]] = {
    "model": MODELS,
    "backbone": BACKBONES,
    "augmentation": AUGMENTATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}

SETTINGS: Mapping[str, Parameter] = {
    "epochs": Parameter("int", None, 1, 10_000, help="epochs of one trial; default: MMDetection's 12, fitted at tiny"),
    "batch_size": Parameter("int", 2, 1, 1024, help="images per iteration"),
    "image_size": Parameter("int", None, 32, 8192, help="longest side in pixels, or [width, height]"),
    "lr": Parameter("float", None, 0, 1000, log=True, help="the optimizer's learning rate"),
    "seed": Parameter("int", 0, 0, 2**31 - 1, help="seed of the trial"),
    "pretrained": Parameter("str", None, help="none, imagenet, or the path of a checkpoint"),
    "adapt": Parameter("str", "auto", choices=("auto", "off"), help="fit detections, proposals, anchors to the data"),
}

__all__ = [
    "AUGMENTATIONS",
    "BACKBONES",
    "MODELS",
    "OPTIMIZERS",
    "PARTS",
    "SCHEDULES",
    "SETTINGS",
    "Entry",
    "Parameter",
]
