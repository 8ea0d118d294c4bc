"""What can be chosen: models, backbones, augmentations, optimizers, schedules.

Plain data, free of torch, so that a slim server can check a space. ``runner.render`` turns it into configs.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.catalog.augmentations import AUGMENTATIONS
from runner.catalog.backbones import BACKBONES
from runner.catalog.base import Entry, Parameter
from runner.catalog.limits import LIMITS, Limit
from runner.catalog.models import MODELS
from runner.catalog.optimizers import OPTIMIZERS
from runner.catalog.schedules import SCHEDULES
from runner.catalog.settings import SETTINGS

PARTS: Mapping[str, Mapping[str, Entry]] = {
    "model": MODELS,
    "backbone": BACKBONES,
    "augmentation": AUGMENTATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}

__all__ = [
    "AUGMENTATIONS",
    "BACKBONES",
    "LIMITS",
    "MODELS",
    "OPTIMIZERS",
    "PARTS",
    "SCHEDULES",
    "SETTINGS",
    "Entry",
    "Limit",
    "Parameter",
]
