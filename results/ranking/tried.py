"""What was tried: which parts, settings and parameters differ among trials, and how a row says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from results.records import TrialRecord

PARTS = ("model", "backbone", "augmentation", "optimizer", "schedule")

_UNSAID = {"train_share": 1.0}  # what a combination names only where it is something else

Facts = dict[str, Any]
"""Everything a trial is made of, under dotted names: ``model``, ``epochs``, ``optimizer.lr``, ``seed``.

As proposed: that is what a combination is known by, also where one of its trials ran out of memory and trained with a
smaller batch (`TrialRecord.trained`). The ranking has those apart (`Ranking.rescued`).
"""


def part_name(trial: TrialRecord, part: str) -> str | None:
    """The name of a part; augmentations are joined in order, an empty list is ``none``."""
    found = trial.parts.get(part)
    if part == "augmentation":
        return " + ".join(augmentation(trial)) or "none"
    return found["name"] if found else None


def augmentation(trial: TrialRecord) -> list[str]:
    """The names of the augmentations in the order they are applied."""
    return [part["name"] for part in trial.parts.get("augmentation") or ()]


def facts(trial: TrialRecord) -> Facts:
    """Everything the trial is made of: parts first, then settings, parameters and the seed."""
    found: Facts = {part: part_name(trial, part) for part in PARTS}
    found.update(trial.parts.get("settings") or {})
    found.update(trial.params)
    found["seed"] = trial.seed
    return found


def varied(trials: Sequence[TrialRecord]) -> tuple[str, ...]:
    """The names of what differs, in the order of `facts`.

    A part's parameter counts only if it differs between trials of the same part: that AdamW has another
    learning rate than SGD is said by their names. The seed counts only if one combination had several.
    """
    values: dict[str, dict[Any, set[str]]] = defaultdict(lambda: defaultdict(set))
    for trial in trials:
        for name, value in facts(trial).items():
            values[name][_scope(trial, name)].add(repr(value))
    for trial in trials:  # a parameter that some trials of its part lack differs as well
        for name in values.keys() - facts(trial).keys():
            if _scope(trial, name) in values[name]:
                values[name][_scope(trial, name)].add("absent")
    order = {name: None for trial in trials for name in facts(trial)}
    return tuple(name for name in order if any(len(found) > 1 for found in values[name].values()))


def _scope(trial: TrialRecord, name: str) -> Any:
    """Among which trials a fact is compared: those of the same part, of the same combination, or all."""
    if name == "seed":
        return trial.combination
    part = name.split(".", 1)[0]
    if "." in name and part in PARTS:
        return part_name(trial, part)
    return None


def label(trial: TrialRecord, names: Sequence[str]) -> str:
    """What was tried, in one line: ``mask_rcnn, SGD, lr 0.02``; the model where nothing differs."""
    found = facts(trial)
    words = []
    for name in names or ("model",):
        value = found.get(name, _UNSAID.get(name))
        if value is None:
            continue
        words.append(str(value) if name in PARTS else f"{short(name)} {show(value)}")
    return ", ".join(words) or "as the model's own"


def common(trials: Sequence[TrialRecord], names: Sequence[str]) -> Mapping[str, Any]:
    """What all trials share, without the seed and the parameters of parts that differ."""
    if not trials:
        return {}
    found = facts(trials[0])
    return {
        name: value
        for name, value in found.items()
        if name not in names
        and value is not None
        and name != "seed"
        and not ("." in name and name.split(".", 1)[0] in names)
    }


def show(value: Any) -> str:
    """A value as people write it: numbers to six digits, a size as 1280x1024."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "x".join(show(item) for item in value)
    return str(value)


def short(name: str) -> str:
    """``optimizer.lr`` -> ``lr``; augmentations and config paths keep what tells them apart."""
    head, _, rest = name.partition(".")
    return rest if rest and head in PARTS else name
