"""What can be chosen: models, backbones, augmentations, optimizers, schedules.

Plain data, free of torch, so that a slim server can check a space. ``runner.render`` turns it into configs.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from runner.catalog.augmentations import AUGMENTATIONS, Augmentation
from runner.catalog.backbones import BACKBONES, Backbone
from runner.catalog.base import Entry, Parameter
from runner.catalog.limits import Limit, catalog_limits
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
    "catalog_limits",
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
    if problem := _problem(entry, part):
        raise UserError(f"{entry.name}: {problem}")
    _entries(part)[entry.name] = entry


def _problem(entry: Entry, part: str) -> str | None:
    """What every trial of the entry would fail at, or None."""
    for name, parameter in entry.parameters.items():
        for value in (parameter.default, parameter.tiny):
            if value is not None and (problem := parameter.problem(value)):
                return f"default of {name}: {problem}"
    if part == "optimizer" and "lr" not in entry.parameters:
        return "expected a parameter lr, found none"
    if isinstance(entry, Backbone) and not len(entry.channels) == len(entry.tiny_channels) == 4:
        return f"expected the channels of four maps, found {entry.channels} and {entry.tiny_channels}"
    if isinstance(entry, Augmentation):
        wanted = set(re.findall(r"'\$(\w+)'", repr(entry.transforms)))
        if unknown := sorted(wanted - {"size", *entry.parameters}):
            return f"its transforms want ${unknown[0]}, which is no parameter of it"
    spec = importlib.util.find_spec("mmdet") if isinstance(entry, Model) else None
    if isinstance(entry, Model) and spec and spec.submodule_search_locations:
        zoo = Path(spec.submodule_search_locations[0]) / ".mim" / "configs" / entry.zoo
        if not zoo.is_file():
            return f"MMDetection's zoo has no config {entry.zoo!r}"
    return None


def remove(part: str, name: str) -> None:
    """Takes out what `add` put in."""
    _entries(part).pop(name, None)


def _entries(part: str) -> dict[str, Entry]:
    entries = PARTS[part]
    assert isinstance(entries, dict)
    return entries
