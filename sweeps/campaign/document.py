"""A campaign's file: what all its stages share, and what each stage says itself."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sweeps.space import sections
from sweeps.space.document import ancestors, read
from sweeps.space.loader import KEYS
from sweeps.space.overrides import OPTION, Overridden, apply
from sweeps.space.problems import Report, SpaceErrors, SpaceProblem, shown
from sweeps.space.schema import Budget

SHARED = (
    "data", "objective", "scale", "fixed", "config", "forbid", "plugins", "sampler", "pruner", "repeats", "budget",
    "keep",
)  # fmt: skip
TOTAL = ("gpu_hours", "hours")
OWN = ("search", "fixed", "config", "forbid", "sampler", "pruner", "repeats", "budget", "keep")
_MERGED = ("fixed", "config", "forbid")  # a stage adds to what is shared; anything else it replaces
_STAGE = re.compile(r"\w[\w-]*")
_LONGEST = 80  # characters in the name of a study

Plain = dict[str, Any]


@dataclass(frozen=True)
class Campaign:
    """A campaign as its file has it; its stages' spaces are not looked into yet.

    Attributes:
        name: its stages are the studies ``NAME.STAGE``.
        stages: their names, in order.
        changed: the file, with what ``--set`` says about the campaign and single stages.
        overrides: all texts of ``--set``; those about what is shared hold for every stage.
        total: what all stages together may take, of which each has what those before it left.
    """

    name: str
    stages: tuple[str, ...]
    changed: Overridden
    overrides: tuple[str, ...] = ()
    total: Budget = field(default_factory=Budget)

    def study(self, stage: str) -> str:
        """The name of a stage's study."""
        return f"{self.name}.{stage}"

    def own(self, stage: str) -> Plain:
        """What a stage says itself."""
        found = self.changed.data["stages"][stage]
        return found if isinstance(found, dict) else {}

    @property
    def shared(self) -> Plain:
        """What all stages share."""
        return {key: value for key, value in self.changed.data.items() if key in SHARED}


def is_campaign(path: Path) -> bool:
    """Whether a file holds a campaign; one that cannot be read is a mistake for whoever reads it next."""
    try:
        return bool({"campaign", "stages"} & read(path).data.keys())
    except SpaceErrors:
        return False


def read_campaign(path: Path, overrides: Sequence[str]) -> tuple[Campaign, list[SpaceProblem]]:
    """Reads a campaign's file.

    Args:
        path: the YAML file.
        overrides: ``KEY=VALUE`` texts of ``--set``: ``campaign``, ``stages.STAGE.KEY``, and keys that are shared.

    Returns:
        The campaign with the stages that can be looked into, and the mistakes so far.

    Raises:
        SpaceErrors: there is no stage to look into.
    """
    changed = apply(read(path), overrides, lambda key: not _shared(key) and not _foreign(key))
    report = Report(changed.locate)
    for key in filter(_foreign, changed.data):
        report.add(
            key, "this is no key of a campaign", "write campaign: NAME" if key == "study" else "write it in a stage"
        )
    known = {key: value for key, value in changed.data.items() if not _foreign(key)}
    plain = report.mapping(known, "", ("campaign", "stages", "total", *SHARED))
    report.problems += _misplaced(overrides)
    name = sections.study_name(plain.get("campaign"), report, "campaign")
    total = sections.budget(plain.get("total"), report, "total", TOTAL)
    stages = [stage for stage, raw in _stages(plain.get("stages"), report).items() if _usable(name, stage, raw, report)]
    if not stages:
        if not report.problems:
            message = "expected stages and what each searches, found none"
            report.add("stages", message, "write stages: {models: {search: {model: [...]}}}")
        report.finish()
    named = name or "campaign"  # a mistake that is told already
    return Campaign(named, tuple(stages), changed, tuple(overrides), total), report.problems


def _shared(key: str) -> bool:
    return key.split(".", 1)[0] in SHARED


def _foreign(key: str) -> bool:
    """Whether a key belongs to a space, and not to a campaign."""
    top = key.split(".", 1)[0]
    return top in KEYS and top not in SHARED


def _misplaced(overrides: Sequence[str]) -> list[SpaceProblem]:
    """Options of ``--set`` that mean nothing for a campaign."""
    found = []
    for number, text in enumerate(overrides, 1):
        key = text.partition("=")[0].strip()
        if _foreign(key):
            fix = "write campaign=NAME" if key == "study" else f"write stages.STAGE.{key}=..."
            found.append(SpaceProblem(OPTION, number, 1, key, "this is no key of a campaign", fix))
    return found


def _stages(raw: Any, report: Report) -> Plain:
    if isinstance(raw, dict):
        return raw
    if raw is not None:
        message = f"expected a mapping of stages to what they search, found {shown(raw)}"
        report.add("stages", message, "write stages: {models: {search: {model: [...]}}}")
    return {}


def _usable(name: str, stage: str, raw: Any, report: Report) -> bool:
    """Whether a stage says what it searches; all mistakes in its keys are noted."""
    key = f"stages.{stage}"
    if not _STAGE.fullmatch(stage):
        message = f"expected letters, digits, '_' and '-' (it names a folder), found {shown(stage)}"
        better = re.sub(r"[^\w-]+", "_", stage).strip("_-") or "NAME"
        report.add(key, message, f"write {better}")
        return False
    if len(name) + 1 + len(stage) > _LONGEST:
        report.add(key, f"expected a name of at most {_LONGEST - 1 - len(name)} characters behind {name}.")
    entries = report.mapping(raw, key, OWN)
    search = entries.get("search")
    if not search and (raw is None or isinstance(raw, dict)):
        where = f"{key}.search" if "search" in entries else key
        report.add(where, "this stage searches nothing", "write search: {model: [...]}, or leave the stage out")
    elif search and not isinstance(search, dict):
        report.add(f"{key}.search", f"expected a mapping of keys to values, found {shown(search)}")
    return isinstance(search, dict) and bool(search)


def stage_document(campaign: Campaign, stage: str, winner: tuple[Plain, Plain], search: Plain) -> Overridden:
    """The space of one stage as a document of its own, whose mistakes are found in the campaign's file.

    Args:
        campaign: the file.
        stage: which.
        winner: what the best combination so far is made of, as (fixed, config).
        search: the stage's own, with what is relative to the winner written out.

    Raises:
        SpaceErrors: mistakes in ``--set``.
    """
    own = {key: value for key, value in campaign.own(stage).items() if key in OWN}
    shared = campaign.shared
    plain: Plain = {"study": campaign.study(stage)}
    plain |= {key: own.get(key, shared.get(key)) for key in SHARED if key in own or key in shared}
    plain["search"] = search
    inherited = _without_rivals(winner[0], search, own.get("fixed"))
    plain["fixed"] = _merged([shared.get("fixed"), inherited], own.get("fixed"), search)
    plain["config"] = _merged([shared.get("config"), winner[1]], own.get("config"), {})
    marks = _moved(campaign, stage, campaign.changed.document.marks)
    origins = _moved(campaign, stage, campaign.changed.origins)
    plain["forbid"], places = _rules(campaign, stage, {*search, *_mapping(plain["fixed"])})
    at = campaign.changed.document.marks.get(f"stages.{stage}", (1, 1))
    document = replace(
        campaign.changed.document,
        data={key: copy.deepcopy(value) for key, value in plain.items() if value is not None},
        marks={**dict.fromkeys(("study", *OWN), at), **marks, **places},
    )
    changed = apply(document, campaign.overrides, _shared)
    changed.origins = {**origins, **changed.origins}
    return changed


def _rules(campaign: Campaign, stage: str, named: set[str]) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The rules under forbid that hold in a stage, shared ones first, and where they stand."""
    shared, own = campaign.shared.get("forbid"), campaign.own(stage).get("forbid")
    wrong = next((one for one in (shared, own) if one is not None and not isinstance(one, list)), None)
    if wrong is not None:
        return wrong, {}
    rules: list[Any] = shared or []
    there = [(rules[n], f"forbid[{n}]") for n in rules_for(rules, named)]
    there += [(rule, f"stages.{stage}.forbid[{n}]") for n, rule in enumerate(own or [])]
    marks = campaign.changed.document.marks
    places = [_under(marks, key, f"forbid[{n}]") for n, (_, key) in enumerate(there)]
    return [rule for rule, _ in there], {key: mark for found in places for key, mark in found.items()}


def rules_for(rules: Sequence[Any], named: set[str]) -> list[int]:
    """Numbers of the rules that say something where these keys are fixed or searched; broken ones are kept."""
    return [n for n, rule in enumerate(rules) if not isinstance(rule, dict) or not rule.keys() - named]


def _without_rivals(winner: Plain, search: Plain, fixed: Any) -> Plain:
    """The winner without what the stage decides anew: another optimizer has another learning rate."""
    anew = {*search, *_mapping(fixed)}
    left = {
        key: value for key, value in winner.items() if key not in anew and not (key == "lr" and "optimizer" in anew)
    }
    optimizer = left.get("optimizer")
    if "lr" in anew and isinstance(optimizer, dict):
        left["optimizer"] = {
            name: {key: value for key, value in params.items() if key != "lr"} for name, params in optimizer.items()
        }
    return left


def _merged(below: Sequence[Any], own: Any, search: Plain) -> Any:
    """What is shared, then inherited, then a stage's own; what is no mapping is left for the loader to report."""
    wrong = next((one for one in (*below, own) if one is not None and not isinstance(one, dict)), None)
    if wrong is not None:
        return wrong
    found = {key: value for one in below for key, value in _mapping(one).items() if key not in search}
    return {**found, **_mapping(own)}


def _mapping(raw: Any) -> Mapping[str, Any]:
    return raw if isinstance(raw, dict) else {}


def _moved(campaign: Campaign, stage: str, places: Mapping[str, Any]) -> dict[str, Any]:
    """Places of the campaign's keys, under the keys that they have in the stage's document."""
    own, found = campaign.own(stage), dict[str, Any]()
    for key in SHARED:
        if key not in own or key in _MERGED:
            found |= _under(places, key, key)
    for key in own:
        found |= _under(places, f"stages.{stage}.{key}", key)
    return found


def _under(places: Mapping[str, Any], there: str, here: str) -> dict[str, Any]:
    return {here + key.removeprefix(there): place for key, place in places.items() if there in ancestors(key)}


def prefixed(campaign: Campaign, stage: str, problem: SpaceProblem) -> SpaceProblem:
    """A mistake in a stage's space, with its key as the campaign's file has it."""
    there = campaign.changed.document.marks
    if problem.file == OPTION or not any(f"stages.{stage}.{key}" in there for key in ancestors(problem.key)):
        return problem
    return replace(problem, key=f"stages.{stage}.{problem.key}")
