"""What a campaign is going to do, as far as that is known before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.protocol import DataPaths, Scale
from sweeps.campaign.document import Campaign
from sweeps.campaign.relative import is_relative
from sweeps.forecast.outlook import about, campaign_outlook
from sweeps.space.plan import plan as planned
from sweeps.space.plan import proposed
from sweeps.space.schema import Budget, SearchSpace

WINNER = "the winner's"


def plan(campaign: Campaign, spaces: list[SearchSpace], scale: Scale, data: DataPaths | None) -> dict[str, Any]:
    """The plan of a campaign.

    Args:
        campaign: the file.
        spaces: of its stages, as `sweeps.campaign.stages.look_ahead` has them.
        scale: tiny or standard.
        data: statistics of the data.

    Returns:
        ``campaign``, ``scale``, ``trials`` (of all stages; None if a stage's number is open), ``gpu_hours`` (None: see
        `foretold`) and ``stages``: for each the plan of its study (`sweeps.space.plan.plan`) with ``stage``; in
        ``fixed`` what earlier stages decide is ``the winner's``, and in ``varies`` what lies around it is as the file
        says it.
    """
    stages: list[dict[str, Any]] = []
    decided: set[str] = set()
    for stage, space in zip(campaign.stages, spaces, strict=True):
        own = campaign.own(stage)
        document = planned(space, scale, data)
        inherited = decided - own["search"].keys() - (own.get("fixed") or {}).keys()
        document["fixed"] |= {key: WINNER for key in document["fixed"] if key in inherited}
        document["varies"] = [
            {"key": one["key"], **own["search"][one["key"]]} if is_relative(own["search"].get(one["key"])) else one
            for one in document["varies"]
            if not _below_relative(one["key"], own["search"])
        ]
        stages.append({"stage": stage, **document})
        decided |= own["search"].keys()
    numbers = [one["trials"] for one in stages]
    trials = None if None in numbers else sum(numbers)
    return {"campaign": campaign.name, "scale": scale, "trials": trials, "gpu_hours": None, "stages": stages}


def foretold(document: dict[str, Any], outlooks: Sequence[Mapping[str, Any]], total: Budget) -> dict[str, Any]:
    """The plan with ``gpu_hours`` and ``forecast``, of all stages together and of each.

    Args:
        document: the plan.
        outlooks: of each stage (`sweeps.forecast.outlook.outlook`).
        total: what all of them together may take.
    """
    stages = [{**stage, **_foretold(one)} for stage, one in zip(document["stages"], outlooks, strict=True)]
    return {**document, **_foretold(campaign_outlook(outlooks, total)), "stages": stages}


def _foretold(outlook: Mapping[str, Any]) -> dict[str, Any]:
    forecast = dict(outlook)
    return {"gpu_hours": forecast.pop("gpu_hours"), "forecast": forecast}


def _below_relative(key: str, search: dict[str, Any]) -> bool:
    """Whether a parameter stands below a name that is not known yet."""
    return "." in key and is_relative(search.get(key.split(".", 1)[0]))


def rows(document: dict[str, Any]) -> list[list[str]]:
    """The plan as a table: stage, combinations, trials, GPU hours, what it starts from, what it searches."""
    found = []
    for one in document["stages"]:
        combinations, trials = one["combinations"], one["trials"]
        inherited = [key for key, value in one["fixed"].items() if value == WINNER]
        found.append([
            one["stage"],
            "infinite" if combinations is None else str(combinations),
            f"{'open' if trials is None else trials} ({proposed(one)})",
            _hours(one),
            ", ".join(inherited) or "-",
            ", ".join(_searched(varying) for varying in one["varies"] if varying["key"] != "seed"),
        ])  # fmt: skip
    return found


def _hours(stage: dict[str, Any]) -> str:
    if stage["gpu_hours"] is not None:
        return about(stage)
    return "not measured" if stage["forecast"]["missing"] else "open"


def stopping(document: dict[str, Any]) -> str:
    """The pruners of the stages that have one."""
    return ", ".join(dict.fromkeys(one["pruner"] for one in document["stages"] if one["pruner"] != "none")) or "none"


def _searched(varying: dict[str, Any]) -> str:
    """ "model (6)", "model (top 2)", "optimizer (lr around the winner's)"."""
    words = []
    if "choice" in varying:
        words.append(str(len(varying["choice"])))
    if "top" in varying:
        words.append(f"top {varying['top']}")
    around = varying.get("around")
    if around is not None:
        words.append(f"{', '.join(around)} around" if isinstance(around, dict) else "around")
    return str(varying["key"]) + (f" ({', '.join(words)})" if words else " (a range)")
