"""What makes two starts the same study, and in which words they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweeps.space.problems import shown
from sweeps.space.schema import Choice, FloatRange, IntRange, Pick, SearchSpace

_NOTHING = "nothing"


def identity(space: SearchSpace, scale: str, data_hash: str) -> dict[str, Any]:
    """Search, fixed, config, forbid, plugins, objective, scale and data, as plain JSON.

    Budget, workers, owner, sampler and pruner are not in it: they may change while a study goes on. The order
    of a choice is in it: a database refuses the same names in another order.
    """
    return {
        "search": {key: plain(form) for key, form in space.search.items()},
        "fixed": {key: plain(value) for key, value in space.fixed.items()},
        "config": {path: plain(value) for path, value in space.config.items()},
        "forbid": [{key: list(names) for key, names in rule.items()} for rule in space.forbid],
        "plugins": {Path(plugin.path).stem: plugin.sha256 for plugin in space.plugins},
        "objective": space.objective.model_dump(exclude_none=True),
        "scale": scale,
        "data": data_hash,
    }


def plain(value: Any) -> Any:
    """A form, picks or a value as one would write it in the file."""
    if isinstance(value, Choice):
        return {"choice": [plain(option.value) for option in value.options]}
    if isinstance(value, (FloatRange, IntRange)):
        word = "float" if isinstance(value, FloatRange) else "int"
        entry: dict[str, Any] = {word: [value.low, value.high]}
        if value.log:
            entry["log"] = True
        if value.step not in (None, 1) or (word == "float" and value.step):
            entry["step"] = value.step
        return entry
    if isinstance(value, tuple) and all(isinstance(pick, Pick) for pick in value):
        names = [
            {pick.name: {k: plain(v) for k, v in pick.params.items()}} if pick.params else pick.name for pick in value
        ]
        return "none" if not names else names[0] if len(names) == 1 else names
    return value


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for every key that differs, ``fixed.epochs: 12 there, 8 here``; empty for the same identity.

    Args:
        old: identity of the study that exists.
        new: identity of this start.
    """
    there, here = dict(_flat("", old)), dict(_flat("", new))
    lines = []
    for key in [*there, *(key for key in here if key not in there)]:
        before, after = there.get(key, _NOTHING), here.get(key, _NOTHING)
        if before == after:
            continue
        if key == "data" or key.startswith("plugins."):
            before, after = before[:12], after[:12]
        lines.append(f"{key}: {before} there, {after} here")
    return lines


def _flat(key: str, node: Any) -> Iterator[tuple[str, str]]:
    """Dotted key -> text; a choice is the list of its names, and each name's parameters below it."""
    if isinstance(node, dict) and list(node) == ["choice"]:
        items = node["choice"]
        names = [next(iter(item)) if isinstance(item, dict) and len(item) == 1 else item for item in items]
        yield key, "[" + ", ".join(shown(name) for name in names) + "]"
        for item in items:
            if isinstance(item, dict):
                yield from _flat(key, item)
    elif isinstance(node, dict) and ("float" in node or "int" in node):
        yield key, "{" + ", ".join(f"{word}: {shown(value)}" for word, value in node.items()) + "}"
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _flat(f"{key}.{name}" if key else name, value)
    elif node != []:
        yield key, shown(node)
