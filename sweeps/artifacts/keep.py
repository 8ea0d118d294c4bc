"""Which checkpoints are kept and which go. Pure: artifacts and states in, a decision out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from results.artifacts import ArtifactRecord, TrialArtifact
from results.records import TrialState
from runner.wire.transfer import CHECKPOINTS
from sweeps.leases.failures import resumable

BEST = 3  # complete trials of a study whose checkpoints are kept, as many pruned ones, and as many failed ones

Spared = Mapping[str, Collection[int]]  # study -> trials
Leading = Mapping[str, Sequence[Collection[int]]]  # study -> the trials of each of its leading combinations


@dataclass(frozen=True)
class Decision:
    """What to delete, and what is over the budget even then.

    Attributes:
        delete: in this order.
        over: bytes over the budget after all of it is deleted; 0 if it fits.
        line: that, for people; None if it fits.
    """

    delete: tuple[ArtifactRecord, ...]
    over: int = 0
    line: str | None = None


def decide(
    held: Sequence[TrialArtifact],
    best: Mapping[str, int] | None = None,
    budget: int | None = None,
    others: int = 0,
    leading: Leading | None = None,
    spared: Spared | None = None,
) -> Decision:
    """Applies the rules.

    Configs, logs and pictures are always kept, and so are the checkpoints of trials that run or wait: they are what
    the trials go on from. Of trials that ended, those of the best complete ones of each study are kept, of as many
    that a pruner stopped, and of as many that failed and would go on: they may be taken up again. If that takes more
    than the budget, those of pruned and failed trials go first, then of the worst and the oldest first among equals,
    but never those of a study's best.
    A study's best are the best seeds of its leading combinations that have a checkpoint; the others follow by score.

    Args:
        held: artifacts of trials, of every study, with the states of their trials.
        best: study -> how many of each kind keep theirs (at least 1), `BEST` where it is not named.
        budget: bytes for everything; None for no limit.
        others: bytes that are taken by what is not in `held` (label files, uploads under way, the next upload).
        leading: study -> its leading combinations; without one the trial with the best score leads.
        spared: study -> trials that are still to be scored on images held out: theirs stay while the budget allows it.
    """
    ranks = _ranks(held, leading or {})
    checkpoints = [one for one in held if one.artifact.name in CHECKPOINTS and one.state not in ("running", "waiting")]
    doomed, spare = [], []
    for one in checkpoints:
        stopped, rank = one.state != "complete", ranks.get(_trial(one), math.inf)
        keeps = max(1, (best or {}).get(one.artifact.study, BEST))
        if one.artifact.trial in (spared or {}).get(one.artifact.study, ()):
            rank = min(rank, 0.5)  # it goes when nothing but what leads is left
        if rank >= keeps:
            doomed.append(one.artifact)
        elif stopped or rank > 0:
            order = (not stopped, -rank, one.artifact.stored_at, one.artifact.study, one.artifact.name)
            spare.append((order, one.artifact))
    if budget is None:
        return Decision(tuple(doomed))
    over = others + sum(one.artifact.size for one in held) - sum(artifact.size for artifact in doomed) - budget
    for _, artifact in sorted(spare, key=lambda entry: entry[0]):
        if over <= 0:
            break
        doomed.append(artifact)
        over -= artifact.size
    return Decision(tuple(doomed), max(0, over), _line(over, budget))


def _trial(one: TrialArtifact) -> tuple[str, int | None]:
    return one.artifact.study, one.artifact.trial


def _ranks(held: Sequence[TrialArtifact], leading: Leading) -> dict[tuple[str, int | None], int]:
    """Rank, from 0, of each trial that may keep its checkpoint here, among those of its study that ended alike."""
    scores: dict[tuple[str, TrialState], dict[int, float]] = defaultdict(dict)
    for one in held:
        number = one.artifact.trial
        of_use = one.state in ("complete", "pruned") or (one.state == "failed" and resumable(one.failure))
        if one.artifact.name in CHECKPOINTS and of_use and one.score is not None and number is not None:
            scores[one.artifact.study, one.state][number] = one.score
    ranks: dict[tuple[str, int | None], int] = {}
    for (study, _), alike in scores.items():
        order = sorted(alike, key=lambda number: (-alike[number], number))
        seeds = [[number for number in order if number in trials] for trials in leading.get(study, ())]
        first = {numbers[0] for numbers in seeds if numbers}
        others = [number for number in order if number not in first]
        ranks.update({(study, number): 0 for number in first})
        ranks.update({(study, number): rank for rank, number in enumerate(others, len(first))})
    return ranks


def _line(over: int, budget: int) -> str | None:
    if over <= 0:
        return None
    return (
        f"artifacts need {shown(over)} more than the disk budget of {shown(budget)}; what is left are checkpoints of "
        "each study's best trial and of running trials, configs, logs and label files: raise --disk-budget"
    )


def shown(size: int) -> str:
    """Bytes as people read them: ``1.5 GB``."""
    number, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
