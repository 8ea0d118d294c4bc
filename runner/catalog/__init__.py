"""What can be chosen: models, backbones, augmentations, optimizers, schedules.

Plain data, free of torch, so that a slim server can check a space. ``runner.render`` turns it into configs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runner.catalog.augmentations import AUGMENTATIONS, Augmentation
from runner.catalog.backbones import BACKBONES, Backbone
from runner.catalog.base import Entry, Parameter
from runner.catalog.limits import LIMITS, Limit
from runner.catalog.models import MODELS, Model
from runner.catalog.optimizers import OPTIMIZERS
from runner.catalog.schedules import SCHEDULES
from runner.catalog.settings import SETTINGS
from runner.errors import UserError

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
    "Augmentation",
    "Backbone",
    "Entry",
    "Limit",
    "Model",
    "Parameter",
    "add",
    "remove",
]

_NAME = re.compile(r"[A-Za-z]\w*")
_WORDS = ("none", "float", "int", "choice")  # they mean something in a space


def add(entry: Entry, part: str | None = None) -> None:
    """Adds an entry of the user's own; a file under ``plugins`` calls it.

    Args:
        entry: a Model, Backbone, Augmentation, or an Entry.
        part: model, backbone, augmentation, optimizer or schedule; needed where the entry's type does not tell.

    Raises:
        UserError: the entry cannot be added, or its name is there already.
    """
    if not isinstance(entry, Entry):
        raise UserError(f"expected an entry such as Backbone(...), found {entry!r}")
    kinds = [kind for kind in PARTS if type(entry) in {type(known) for known in PARTS[kind].values()}]
    if part is None and len(kinds) != 1:
        raise UserError(f"{entry.name}: the part is not known; write add(..., part=NAME), one of {', '.join(PARTS)}")
    part = part or kinds[0]
    if part not in (kinds or PARTS):
        raise UserError(f"{entry.name}: a {type(entry).__name__} is no {part}; write part={kinds[0]!r}")
    if not _NAME.fullmatch(entry.name) or entry.name in _WORDS:
        raise UserError(f"expected a name of letters, digits and '_', found {entry.name!r}")
    if entry.name in PARTS[part]:
        raise UserError(f"there is a {part} {entry.name} already; write another name")
    if isinstance(entry, Model) and entry.backbone not in BACKBONES:
        raise UserError(f"{entry.name}: there is no backbone {entry.backbone}; add it first")
    _entries(part)[entry.name] = entry


def remove(part: str, name: str) -> None:
    """Takes out what `add` put in."""
    _entries(part).pop(name, None)


def _entries(part: str) -> dict[str, Entry]:
    entries = PARTS[part]
    assert isinstance(entries, dict)
    return entries
