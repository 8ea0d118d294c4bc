"""A checked space as a document of its own: what a server stores and reads again, ``--set`` and ``--data`` applied."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from runner.paths import replace_with
from sweeps.space.identity import plain
from sweeps.space.repeats import written
from sweeps.space.schema import Budget, SearchSpace


def document(space: SearchSpace, scale: str) -> dict[str, Any]:
    """The space as one would write it, complete; `sweeps.space.loader.load` reads the same space from it.

    Args:
        space: the space.
        scale: the one that was decided, in the place of ``auto``.
    """
    entries: dict[str, Any] = {
        "study": space.study,
        "data": space.data,
        "objective": space.objective.model_dump(exclude_none=True),
        "scale": scale,
        "fixed": {key: plain(value) for key, value in space.fixed.items()},
        "search": {key: plain(form) for key, form in written(space).items()},
        "config": {path: plain(value) for path, value in space.config.items()},
        "forbid": [{key: list(names) for key, names in rule.items()} for rule in space.forbid],
        "plugins": [plugin.path for plugin in space.plugins],
        "sampler": _sampler(space),
        "pruner": {"kind": space.pruner.kind, **space.pruner.options},
        "repeats": {"most": space.repeats} if space.adaptive else space.repeats,
        "budget": budget(space.budget),
        "keep": space.keep,
    }
    return {key: value for key, value in entries.items() if value not in ({}, [])}


def budget(limits: Budget) -> dict[str, Any]:
    """The limits that are set."""
    return {key: value for key, value in vars(limits).items() if value is not None}


def to_text(entries: dict[str, Any]) -> str:
    """The document as YAML."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 110
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.dump(entries, stream)
    return stream.getvalue()


def keep(text: str, path: Path) -> Path:
    """Writes the document to a file, which the loader reads; an older one is replaced."""
    replace_with(path, text)
    return path


def _sampler(space: SearchSpace) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": space.sampler.kind, "seed": space.sampler.seed}
    if space.sampler.shard != (1, 1):
        entry["shard"] = f"{space.sampler.shard[0]}/{space.sampler.shard[1]}"
    if space.sampler.kind == "nsga2":
        entry["population"] = space.sampler.population
    return entry
