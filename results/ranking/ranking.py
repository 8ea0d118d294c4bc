"""Pure: a study and its trials -> the ranking. Reads no database and no clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from results.errors import ResultsError
from results.ranking import tried
from results.ranking.pareto import against, cost, front
from results.ranking.rows import METRICS, Baseline, Ranking, Row, finite
from results.ranking.standings import Standings, stand
from results.records import StudyRecord, TrialRecord

BY = ("model", "backbone", "augmentation", "optimizer", "owner", "schedule")


def rank(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    by: str | None = None,
    all_states: bool = False,
    standings: Standings | None = None,
    scores: Mapping[int, Mapping[int, float]] | None = None,
) -> Ranking:
    """Rank the trials of a study by score, highest first.

    Args:
        study: the study.
        trials: all its trials, in any order.
        by: one of `BY`: only the best row of each of its values, ranked among themselves.
        all_states: also list trials that are not complete, after the ranked ones.
        standings: the combinations, weighed (`standings.judge`); by default without intervals.
        scores: of each trial and epoch, by which stopped trials are compared; by default they are not.

    Raises:
        ResultsError: ``by`` is no such part.
    """
    if by is not None and by not in BY:
        raise ResultsError(f"cannot rank by {by}; choose one of: {', '.join(BY)}")
    trials = sorted(trials, key=lambda trial: trial.number)
    names = tried.varied(trials)
    first = next((trial for trial in trials if ranked(trial)), None)
    baseline = (
        Baseline(first.number, first.score, tried.label(first, names))
        if first is not None and first.score is not None
        else None
    )
    standings = standings or stand(trials)
    everything = {trial.number: _row(trial, names, baseline, standings) for trial in trials}
    listed = sorted((trial for trial in trials if all_states or trial.state == "complete"), key=_order)
    if by is not None:
        means = {one.combination: one.mean for one in standings.standings}
        # a value's best combination is the one with the best mean, not the one with the luckiest seed
        listed.sort(key=lambda trial: -means.get(trial.combination, 0.0) if ranked(trial) else math.inf)
        listed = sorted(_first_of_each(listed, by), key=_order)
    goal = against(study)
    rows = fronted(_share_ranks([everything[trial.number] for trial in listed]), goal)
    left_out = Counter[str](trial.state for trial in trials if trial.state != "complete" and not all_states)
    return Ranking(
        study=study,
        objective=study.objective,
        direction="maximize",
        baseline=baseline,
        rows=rows,
        varied=names,
        common=dict(tried.common(trials, names)),
        hidden=dict(left_out),
        all_states=all_states,
        by=by,
        standings=standings,
        every=tuple(row for row in everything.values() if row.rank is not None),
        against=goal,
        promising=_promising(trials, scores or {}),
        rescued=tuple(trial for trial in trials if ranked(trial) and trial.adjusted),
    )


def _promising(trials: Sequence[TrialRecord], scores: Mapping[int, Mapping[int, float]]) -> tuple[int, ...]:
    """Stopped trials that stood higher than each of the first three did at that epoch; none in a study of fewer."""
    first = sorted((trial for trial in trials if ranked(trial)), key=_order)[:3]
    found = []
    for trial in trials:
        if trial.state != "pruned" or len(first) < 3 or not (curve := scores.get(trial.number)):
            continue
        last = max(curve)
        then = [scores.get(one.number, {}).get(last, math.inf) for one in first]
        if curve[last] > max(then):
            found.append(trial.number)
    return tuple(found)


def fronted(rows: Sequence[Row], goal: str | None) -> list[Row]:
    """The rows, each marked whether it is on the front of score and cost; as they are where there is no second goal."""
    if goal is None:
        return list(rows)
    points = {
        number: (row.score, paid)
        for number, row in enumerate(rows)
        if row.rank is not None and row.score is not None and (paid := cost(row, goal)) is not None
    }
    found = front(points)
    return [replace(row, front=number in found if row.rank is not None else None) for number, row in enumerate(rows)]


def ranked(trial: TrialRecord) -> bool:
    """Whether a trial has a place: it is complete and its score is a number."""
    return trial.state == "complete" and finite(trial.score) is not None


def _order(trial: TrialRecord) -> tuple[bool, float, bool, int]:
    score = trial.score if ranked(trial) and trial.score is not None else 0.0
    return (not ranked(trial), -score, trial.state != "complete", trial.number)


def _first_of_each(trials: Iterable[TrialRecord], by: str) -> Iterable[TrialRecord]:
    seen: set[str | None] = set()
    for trial in trials:
        value = trial.owner if by == "owner" else tried.part_name(trial, by)
        if value not in seen:
            seen.add(value)
            yield trial


def _row(trial: TrialRecord, names: Sequence[str], baseline: Baseline | None, standings: Standings) -> Row:
    score = finite(trial.score)
    standing = standings.of(trial.combination) if ranked(trial) else None
    return Row(
        rank=1 if ranked(trial) else None,
        trial=trial.number,
        combination=trial.combination,
        state=trial.state,
        owner=trial.owner,
        model=tried.part_name(trial, "model"),
        backbone=tried.part_name(trial, "backbone"),
        augmentation=tried.augmentation(trial),
        optimizer=tried.part_name(trial, "optimizer"),
        params=dict(trial.params),
        seed=trial.seed,
        epochs=trial.epochs,
        score=score,
        metrics={name: finite(trial.metrics.get(name)) for name in METRICS},
        best_score=finite(trial.best_score),
        best_epoch=trial.best_epoch,
        delta_baseline=score - baseline.score if baseline and ranked(trial) else None,
        parameters=trial.parameters,
        peak_memory_mb=finite(trial.peak_memory_mb),
        seconds=finite(trial.seconds),
        reason=trial.reason,
        label=tried.label(trial, names),
        what=tried.label(trial, [name for name in names if name != "seed"]),
        mean=standing.mean if standing else None,
        seeds=standing.seeds if standing else None,
        interval=standing.interval if standing else None,
        group=standing.group if standing else None,
        seconds_per_image=finite(trial.seconds_per_image),
        adjusted=trial.adjusted,
    )


def _share_ranks(rows: Sequence[Row]) -> list[Row]:
    """Number the ranked rows 1, 2, 2, 4: equal scores share a rank, the next one counts them all."""
    placed: list[Row] = []
    for position, row in enumerate(rows, start=1):
        if row.rank is not None:
            before = placed[-1] if placed else None
            shared = before is not None and before.score == row.score
            row = replace(row, rank=before.rank if before is not None and shared else position)
        placed.append(row)
    return placed
