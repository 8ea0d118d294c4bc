"""A ranking of trainings as one of combinations: the mean over seeds instead of the luckiest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from results.ranking.ranking import fronted
from results.ranking.rows import METRICS, Baseline, Ranking, Row
from results.ranking.standings import Standings


def merged(ranking: Ranking) -> Ranking:
    """The ranking with a row for each combination, if any has several complete trials; else as it is.

    Trials that are not complete keep their rows. Of several owners all are named.
    """
    known = ranking.standings
    if ranking.runs or known is None or not known.repeated:
        return ranking
    runs: dict[str, list[Row]] = {}
    for row in ranking.every:
        runs.setdefault(row.combination, []).append(row)
    shown = {row.combination for row in ranking.rows if row.rank is not None}
    baseline = _baseline(ranking, known)
    placed: list[Row] = []
    for one in known.standings:
        if one.combination in shown:
            tied = bool(placed) and placed[-1].score == one.mean
            row = _mean(runs[one.combination], one.mean, placed[-1].rank if tied else len(placed) + 1)
            placed.append(replace(row, delta_baseline=one.mean - baseline.score if baseline else None))
    return replace(
        ranking,
        rows=fronted([*placed, *(row for row in ranking.rows if row.rank is None)], ranking.against),
        varied=tuple(name for name in ranking.varied if name != "seed"),
        baseline=baseline,
        merged=True,
    )


def _baseline(ranking: Ranking, known: Standings) -> Baseline | None:
    """The combination of the baseline's trial, with its mean."""
    if ranking.baseline is None:
        return None
    row = next(row for row in ranking.every if row.trial == ranking.baseline.trial)
    standing = known.of(row.combination)
    return Baseline(row.trial, standing.mean if standing else ranking.baseline.score, row.what)


def _mean(rows: Sequence[Row], mean: float, place: int | None) -> Row:
    first = min(rows, key=lambda row: row.trial)
    seconds = [row.seconds for row in rows if row.seconds is not None]
    return replace(
        first,
        rank=place,
        score=mean,
        label=first.what,
        owner=", ".join(dict.fromkeys(row.owner for row in rows)),
        metrics={name: _average([row.metrics[name] for row in rows]) for name in METRICS},
        seconds=fmean(seconds) if seconds else None,
        seconds_per_image=_average([row.seconds_per_image for row in rows]),
        peak_memory_mb=_average([row.peak_memory_mb for row in rows]),
    )


def _average(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return fmean(known) if known and len(known) == len(figures) else None
