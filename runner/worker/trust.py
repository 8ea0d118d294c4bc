"""What a worker that runs no code of others lets a study server choose.

A config of MMDetection is a program: ``type: os.system`` is a valid one, and so is a hook that writes to any path.
What a space can say of the catalog is harmless, since names and kinds of values are the catalog's; so a worker that
was not started with ``--allow-plugins`` checks that a lease holds nothing else. The server has checked the space
already, but the server may be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.catalog import PARTS, SETTINGS
from runner.protocol import Combination, Part

_WORDS = re.compile(r"[\w +-]{0,100}", re.ASCII)  # no dot, slash or colon: no import, no path, no address
_TEXTS = ("model", "optim_wrapper")  # where a word is a mode of a network or a wrapper
_CLASSES = ("type", "constructor")  # whose words name what is built


def distrusted(combination: Combination) -> str | None:
    """The first thing in a combination that could run code or write files, in one line; None where nothing can."""
    return next(_problems(combination), None)


def _problems(combination: Combination) -> Iterator[str]:
    for kind in ("model", "backbone", "optimizer", "schedule"):
        part: Part | None = getattr(combination, kind)
        if part is not None:
            yield from _of_part(kind, part)
    for part in combination.augmentation:
        yield from _of_part("augmentation", part)
    yield from _of_settings(combination.settings)
    for path, value in combination.config.items():
        if not _harmless(path.removeprefix("+").split("."), value):
            yield f"config {path}: {_short(value)} could name code or a file"


def _of_part(kind: str, part: Part) -> Iterator[str]:
    entry = PARTS[kind].get(part.name)
    if entry is None:
        yield f"there is no {kind} {_short(part.name)} in the catalog"
        return
    for name, value in part.params.items():
        parameter = entry.parameters.get(name)
        if parameter is None:
            yield f"{kind} {part.name} has no parameter {_short(name)}"
        elif value is not None and (problem := parameter.problem(value)):
            yield f"{kind} {part.name}: {name}: {problem[:200]}"


def _of_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        parameter = SETTINGS.get(name)
        if parameter is None:
            yield f"there is no setting {_short(name)}"
        elif name == "image_size" and isinstance(value, (list, tuple)):
            yield from (f"{name}: {problem}" for one in value if (problem := parameter.problem(one)))
        elif value is not None and (problem := parameter.problem(value)):
            yield f"{name}: {problem[:200]}"


def _harmless(keys: list[str], value: Any) -> bool:
    """Whether a value can be written at a path of any config without naming something that is imported or opened."""
    if value is None or isinstance(value, (bool, int, float)):
        return True
    if isinstance(value, (list, tuple)):
        return all(not isinstance(one, str) and _harmless(keys, one) for one in value)
    if isinstance(value, str):
        return keys[0] in _TEXTS and keys[-1] not in _CLASSES and _WORDS.fullmatch(value) is not None
    return False


def _short(value: object) -> str:
    return repr(value)[:80]
