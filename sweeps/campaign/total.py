"""What all stages of a campaign together may take, and what those before leave of it for the next one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from results.reader import Reader
from results.records import TrialRecord
from sweeps.campaign.document import TOTAL
from sweeps.remote import Remote
from sweeps.space.schema import Budget, SearchSpace

_NOTHING = 0.01  # of the total: less is no stage, and may be what rounding or a last epoch left


def left_of(
    total: Budget, stages: Iterable[tuple[str, Sequence[TrialRecord]]], reader: Reader | Remote
) -> Budget:  # fmt: skip
    """What stages have left of a total; 0 or less where nothing is left.

    GPU hours are those of their trials, confirming ones included; hours of the clock those in which one was trained.

    Args:
        total: of the campaign.
        stages: (study, trials) of those that have ended.
        reader: of the studies.
    """
    before = list(stages)
    found = Budget()
    if total.gpu_hours is not None:
        spent = sum(trial.seconds or 0.0 for _, trials in before for trial in trials) / 3600
        found = replace(found, gpu_hours=round(total.gpu_hours - spent, 6))
    if total.hours is not None:
        spent = _trained(before, reader) / timedelta(hours=1)
        found = replace(found, hours=round(total.hours - spent, 6))
    return found


def _trained(stages: Sequence[tuple[str, Sequence[TrialRecord]]], reader: Reader | Remote) -> timedelta:
    """For how long something was trained, however much at a time."""
    spans = sorted(
        (one.started_at, one.ended_at)
        for study, trials in stages
        for trial in trials
        for one in reader.attempts(study, trial.number)
        if one.ended_at
    )
    found, until = timedelta(), datetime.min.replace(tzinfo=UTC)
    for begun, ended in spans:
        found += max(timedelta(), ended - max(begun, until))
        until = max(until, ended)
    return found


def spent(total: Budget, left: Budget) -> str | None:
    """Which part of a total is spent, for people; None where another stage may begin."""
    for name in TOTAL:
        of, rest = getattr(total, name), getattr(left, name)
        if of is not None and rest < _NOTHING * of:
            return f"total.{name} {of:g} is spent"
    return None


def capped(space: SearchSpace, left: Budget) -> SearchSpace:
    """The space of a stage that takes no more than what is left."""
    limits = {name: getattr(left, name) for name in TOTAL if getattr(left, name) is not None}
    own = {name: getattr(space.budget, name) for name in limits}
    least = {name: rest if own[name] is None else min(rest, own[name]) for name, rest in limits.items()}
    return replace(space, budget=replace(space.budget, **least))
