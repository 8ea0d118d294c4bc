"""What all stages of a campaign together may take, and what those before leave of it for the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from results.records import TrialRecord
from sweeps.campaign.document import TOTAL
from sweeps.space.schema import Budget, SearchSpace
from sweeps.space.walk import planned, stopping
from sweeps.study.tally import worked

_NOTHING = 0.01  # of the total: less is no stage, and may be what rounding or a last epoch left


def left_of(total: Budget, trials: Sequence[TrialRecord]) -> Budget:
    """What stages have left of a total; 0 where nothing is left.

    GPU hours are those of their trials, confirming ones included; hours of the clock those in which one was trained.

    Args:
        total: of the campaign.
        trials: of all stages that have ended.
    """
    found = Budget()
    if total.gpu_hours is not None:
        spent = sum(trial.seconds or 0.0 for trial in trials) / 3600
        found = replace(found, gpu_hours=max(0.0, round(total.gpu_hours - spent, 6)))
    if total.hours is not None:
        spent = worked(_spans(trials)) / timedelta(hours=1)
        found = replace(found, hours=max(0.0, round(total.hours - spent, 6)))
    return found


def _spans(trials: Sequence[TrialRecord]) -> list[tuple[datetime, datetime]]:
    """When trials were trained; of one that was interrupted its seconds before its end."""
    return [
        (one.finished_at - timedelta(seconds=one.seconds), one.finished_at)
        for one in trials
        if one.finished_at and one.seconds
    ]


def spent(total: Budget, left: Budget) -> str | None:
    """Which part of a total is spent, for people; None where another stage may begin."""
    for name in TOTAL:
        of, rest = getattr(total, name), getattr(left, name)
        if of is not None and rest < _NOTHING * of:
            return f"total.{name} {of:g} is spent"
    return None


def capped(space: SearchSpace, left: Budget) -> SearchSpace:
    """The space of a stage that takes no more than what is left; sampler and pruner stay as its file has them."""
    limits = {name: getattr(left, name) for name in TOTAL if getattr(left, name) is not None}
    own = {name: getattr(space.budget, name) for name in limits}
    least = {name: rest if own[name] is None else min(rest, own[name]) for name, rest in limits.items()}
    if not limits:
        return space
    sampler = replace(space.sampler, kind=planned(space)[0])
    return replace(space, budget=replace(space.budget, **least), sampler=sampler, pruner=stopping(space))
