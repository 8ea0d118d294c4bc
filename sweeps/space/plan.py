"""What a study is going to do, before it does it: as plain JSON, and as a table."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from runner.catalog import SETTINGS
from runner.protocol import DataPaths, Scale
from sweeps.space import walk
from sweeps.space.identity import plain
from sweeps.space.resolve import (
    DEFAULT_AUGMENTATION,
    DEFAULT_MODEL,
    DEFAULT_SCHEDULE,
    default_backbone,
    default_optimizer,
    default_setting,
)
from sweeps.space.schema import Choice, IntRange, SearchSpace


def plan(
    space: SearchSpace, scale: Scale, data: DataPaths | None = None, adapted: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The plan of a study.

    Args:
        space: a checked space.
        scale: tiny or standard.
        data: statistics of the data; without them the epochs fitted at tiny are not known.
        adapted: what is fitted to the data (`runner.adapt.adapt`).

    Returns:
        ``study``; ``combinations`` (allowed ones, without seeds; None if infinite); ``trials`` (None if only time or a
        score limits them); ``epochs`` of one trial (a number, [min, max] where searched, None where it needs the data);
        ``fixed`` (with the defaults of what the space leaves open); ``adapted``; ``forbidden`` (how many combinations
        the rules exclude; None if infinite); ``gpu_hours`` (None: see `sweeps.forecast.outlook`); ``scale``;
        ``sampler``; ``pruner``; ``varies``; ``notes``.
    """
    sampler, trials = walk.planned(space)
    combinations = walk.count(space, seeds=False)
    everything = walk.count(space, seeds=False, allowed=False)
    fixed = _fixed(space, scale, data)
    forms = space.forms()
    return {
        "study": space.study,
        "scale": scale,
        "combinations": combinations,
        "trials": trials,
        "epochs": _bounds(forms["epochs"]) if "epochs" in forms else fixed.get("epochs"),
        "fixed": fixed,
        "varies": [{"key": key, **plain(form)} for key, form in forms.items()],
        "forbidden": None if everything is None or combinations is None else everything - combinations,
        "sampler": sampler,
        "pruner": walk.stopping(space).kind,
        "adapted": adapted,
        "gpu_hours": None,
        "notes": list(space.notes),
    }


def _bounds(form: Any) -> list[Any]:
    if isinstance(form, Choice):
        return [min(form.labels), max(form.labels)]  # type: ignore[type-var]
    assert isinstance(form, IntRange)
    return [form.low, form.high]


def _fixed(space: SearchSpace, scale: Scale, data: DataPaths | None) -> dict[str, Any]:
    """What every trial shares, with the defaults that hold where the space says nothing."""
    models = _names(space, "model") or [DEFAULT_MODEL]
    pairs = [
        (model, backbone)
        for model in models
        for backbone in _names(space, "backbone") or [default_backbone(model, scale)]
    ]
    found: dict[str, Any] = {
        "model": DEFAULT_MODEL,
        "backbone": _common([default_backbone(model, scale) for model in models]),
        "augmentation": DEFAULT_AUGMENTATION,
        "optimizer": _common([default_optimizer(*pair, scale) for pair in pairs]),
        "schedule": DEFAULT_SCHEDULE,
    }
    for name in SETTINGS:
        if name != "lr" and not (name == "epochs" and scale == "tiny" and data is None):
            found[name] = default_setting(name, scale, data.n_train if data else 0)
    found |= {key: plain(value) for key, value in space.fixed.items()}
    found |= {f"config.{path}": value for path, value in space.config.items() if f"config.{path}" not in space.forms()}
    return {key: value for key, value in found.items() if key not in space.search}


def _names(space: SearchSpace, part: str) -> list[str]:
    """What a space names for a part that has one name; empty where it says nothing."""
    form = space.search.get(part)
    options = [option.value for option in form.options] if isinstance(form, Choice) else [space.fixed.get(part)]
    return [picks[0].name for picks in options if picks]


def _common(names: list[str]) -> str:
    return names[0] if len(set(names)) == 1 else "each model's own"


def plan_table(document: dict[str, Any]) -> Table:
    """The plan for a terminal."""
    title = Text(f"plan of study {document['study']}", "table.title")
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, text in _rows(document):
        table.add_row(Text(name), Text(text))  # no markup: a list is written with brackets
    return table


def _rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    combinations, trials = document["combinations"], document["trials"]
    rows = [
        ("scale", document["scale"]),
        ("combinations", "infinitely many" if combinations is None else str(combinations)),
    ]
    if document["forbidden"]:
        rows.append(("forbidden", str(document["forbidden"])))
    rows.append(("trials", f"{'until the budget is spent' if trials is None else trials} ({proposed(document)})"))
    rows.append(("epochs", _epochs(document["epochs"])))
    rows += [(f"search {varying['key']}", _form(varying)) for varying in document["varies"]]
    rows += [(f"fixed {key}", _text(value)) for key, value in document["fixed"].items()]
    return rows + [(f"adapted {key}", _text(value)) for key, value in (document["adapted"] or {}).items()]


def proposed(document: dict[str, Any]) -> str:
    """Who proposes and who stops early: ``tpe, median pruner``."""
    sampler, pruner = document["sampler"], document["pruner"]
    return str(sampler) if pruner == "none" else f"{sampler}, {pruner} pruner"


def _epochs(value: Any) -> str:
    if value is None:
        return "fitted to the data"
    return f"{value[0]} to {value[1]}" if isinstance(value, list) else str(value)


def _form(varying: dict[str, Any]) -> str:
    if "choice" in varying:
        return "\n".join(_text(item) for item in varying["choice"])
    word = "float" if "float" in varying else "int"
    low, high = varying[word]
    log = ", logarithmic" if varying.get("log") else ""
    step = f", in steps of {varying['step']}" if "step" in varying else ""
    return f"{low} to {high}{log}{step}"


def _text(value: Any) -> str:
    """A value in YAML's short form: braces and names without quotes."""
    if value is None:
        return "not set"
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_inner(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(_inner(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _inner(value: Any) -> str:
    return "{" + _text(value) + "}" if isinstance(value, dict) else _text(value)
