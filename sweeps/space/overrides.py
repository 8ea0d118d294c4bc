"""``--set KEY=VALUE``: puts values into the plain document before it is checked. Later ones win."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.catalog import PARTS
from sweeps.space.document import Document, ancestors, parse
from sweeps.space.problems import SpaceErrors, SpaceProblem, shown

OPTION = "--set"


@dataclass
class Overridden:
    """The document with what was set on the command line.

    Attributes:
        document: the file as it was read.
        data: its values with the overrides in them.
        origins: dotted key -> number of the option that set it, from 1.
        notes: lines about what was dropped for it.
    """

    document: Document
    data: dict[str, Any]
    origins: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def locate(self, key: str) -> tuple[str, int, int]:
        """(file, line, column) of a key: in the file, or (``--set``, number of the option, 1)."""
        for name in ancestors(key):
            if name in self.origins:
                return OPTION, self.origins[name], 1
            if name in self.document.marks and not self._replaced(name):
                return str(self.document.path), *self.document.marks[name]
            made = [n for key, n in self.origins.items() if name in ancestors(key)]
            if made:  # not in the file: an option brought it along
                return OPTION, made[0], 1
        return str(self.document.path), 1, 1

    def _replaced(self, name: str) -> bool:
        return any(parent in self.origins for parent in ancestors(name))

    def is_set(self, key: str) -> bool:
        """Whether the value of a key came from the command line."""
        return any(name in self.origins for name in ancestors(key))


def apply(document: Document, overrides: Sequence[str], takes: Callable[[str], bool] = lambda key: True) -> Overridden:
    """Applies all overrides, in order.

    Args:
        document: the file as it was read.
        overrides: texts of ``--set``.
        takes: by its key, whether an override is for this document.

    Raises:
        SpaceErrors: one is not KEY=VALUE, VALUE is not YAML, or KEY leads into a list.
    """
    result = Overridden(document, document.data)
    problems: list[SpaceProblem] = []
    for number, text in enumerate(overrides, 1):
        if not takes(text.partition("=")[0].strip()):
            continue
        try:
            _one(result, text, number)
        except SpaceErrors as error:
            problems += error.problems
    if problems:
        raise SpaceErrors(problems)
    return result


def _one(result: Overridden, text: str, number: int) -> None:
    key, equals, raw = text.partition("=")
    key = key.strip()
    names = key.split(".", 1) if key.startswith("config.") else key.split(".")
    if not equals or not all(names):
        message = f"expected KEY=VALUE, found {shown(text)}"
        raise SpaceErrors([SpaceProblem(OPTION, number, 1, "", message, "write e.g. fixed.epochs=8")])
    try:
        value = parse(raw, Path(OPTION)).data
    except SpaceErrors as error:
        raise SpaceErrors(
            [SpaceProblem(OPTION, number, 1, key, p.message, p.suggestion) for p in error.problems]
        ) from None
    _put(result.data, names, value, number)
    result.origins = {k: n for k, n in result.origins.items() if key not in ancestors(k)}
    result.origins[key] = number
    _drop_rival(result, names, text)


def _put(data: dict[str, Any], names: list[str], value: Any, number: int) -> None:
    """Sets a nested key; what is on the way becomes a mapping."""
    node = data
    for depth, name in enumerate(names[:-1]):
        child = node.get(name)
        if isinstance(child, list) and not _names_to_search(names, depth, child):
            key = ".".join(names[: depth + 1])
            message = f"expected the whole list, found the key {names[depth + 1]} in it"
            raise SpaceErrors([SpaceProblem(OPTION, number, 1, key, message, f"write {key}=[...]")])
        child = _opened(child)
        if names[0] == "fixed" and depth == 1 and name in PARTS:  # exactly one name is fixed
            child = {names[2]: child.get(names[2])}
        node[name] = child
        node = child
    node[names[-1]] = value


def _names_to_search(names: list[str], depth: int, child: list[Any]) -> bool:
    """Whether a list can be opened: names of a part, or plain values that a range replaces."""
    if names[0] != "search" or depth != 1:
        return False
    return names[1] not in PARTS or all(isinstance(item, str) for item in child)


def _opened(child: Any) -> dict[str, Any]:
    if isinstance(child, dict):
        return child
    if isinstance(child, list) and all(isinstance(item, str) for item in child):
        return dict.fromkeys(child)
    return {child: None} if isinstance(child, str) else {}


def _drop_rival(result: Overridden, names: list[str], text: str) -> None:
    """What is fixed on the command line is no longer searched, and the other way round."""
    other = {"fixed": "search", "search": "fixed"}.get(names[0])
    if other is None or len(names) < 2:
        return
    rivals = result.data.get(other)
    if isinstance(rivals, dict) and names[1] in rivals:
        del rivals[names[1]]
        result.notes.append(f"{OPTION} {text}: {other}.{names[1]} of the file is dropped")
