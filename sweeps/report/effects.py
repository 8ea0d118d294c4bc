"""Main effects and interactions: means by choice, and what two choices do together that neither does alone.

An interaction is what the means of all cells explain beyond the sum of two effects, as a share of the variance of the
scores: the two-way analysis of variance by least squares, which allows for cells of unequal number and for empty ones
(Yates 1934, "The analysis of multiple classifications with unequal numbers in the different classes", JASA 29:51-66).
Its F test needs more combinations than cells.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from results.ranking import tried
from sweeps.report.points import Point
from sweeps.space.exclusion import Assignment

_MANY = 6  # values of a number: with more it counts as low or high, parted at its median


@dataclass(frozen=True)
class Effect:
    """The combinations that have one value of a parameter.

    Attributes:
        combinations: how many have a complete trial.
        stopped: how many have none, for a pruner stopped them.
        mean: of the scores of the complete ones, None where there are none.
        best: the highest of them.
    """

    parameter: str
    value: str
    combinations: int
    stopped: int
    mean: float | None
    best: float | None


@dataclass(frozen=True)
class Interaction:
    """Two parameters.

    Attributes:
        share: of the variance of the scores, beyond both main effects.
        p: chance of so large a share without an interaction; None where every cell has one combination at most.
        cells: (value, value) -> mean.
    """

    one: str
    other: str
    share: float
    p: float | None
    cells: dict[tuple[str, str], float]


def values(points: Sequence[Point], stopped: Sequence[Assignment] = ()) -> dict[str, list[str | None]]:
    """Parameter -> its value at each point, then in each stopped combination, as text; those that vary.

    None where it does not exist. A number is parted at the median of the points.
    """
    everything = [*(point.chosen for point in points), *stopped]
    names = dict.fromkeys(name for chosen in everything for name in chosen)
    found = {name: _texts([chosen.get(name) for chosen in everything], len(points)) for name in names}
    return {name: texts for name, texts in found.items() if len({text for text in texts if text is not None}) > 1}


def _texts(chosen: list[Any], points: int) -> list[str | None]:
    known = _numbers(chosen)
    if len(set(known)) <= _MANY:
        return [None if one is None else tried.show(one) for one in chosen]
    middle = statistics.median(_numbers(chosen[:points]) or known)
    return [
        None if one is None else f"up to {middle:.3g}" if one <= middle else f"above {middle:.3g}" for one in chosen
    ]


def _numbers(chosen: Sequence[Any]) -> list[int | float]:
    return [one for one in chosen if isinstance(one, int | float) and not isinstance(one, bool)]


def effects(points: Sequence[Point], stopped: Sequence[Assignment] = ()) -> list[Effect]:
    """Of every value of every parameter, the best value of each first, those without a complete trial last."""
    found = []
    for name, texts in values(points, stopped).items():
        rows = []
        for value in dict.fromkeys(text for text in texts if text is not None):
            scores = [point.score for point, text in zip(points, texts, strict=False) if text == value]
            mean, best = (statistics.fmean(scores), max(scores)) if scores else (None, None)
            rows.append(Effect(name, value, len(scores), texts[len(points) :].count(value), mean, best))
        found += sorted(rows, key=lambda row: (row.mean is None, -(row.mean or 0.0)))
    return found


def figure(value: float | None) -> str:
    """A mean as tables have it."""
    return "-" if value is None else f"{value:.4f}"


def interactions(points: Sequence[Point], stopped: Sequence[Assignment] = ()) -> list[Interaction]:
    """Of every two parameters that exist in all points and vary there, the largest share first.

    Args:
        points: the combinations.
        stopped: those that have no score; numbers are parted as in `effects`.
    """
    there = {name: texts[: len(points)] for name, texts in values(points, stopped).items()}
    everywhere = {name: [t for t in texts if t is not None] for name, texts in there.items() if len(set(texts)) > 1}
    everywhere = {name: texts for name, texts in everywhere.items() if len(texts) == len(points)}
    scores = np.array([point.score for point in points])
    found = [
        _interaction(one, other, everywhere[one], everywhere[other], scores)
        for one, other in itertools.combinations(everywhere, 2)
    ]
    return sorted(found, key=lambda pair: -pair.share)


def _interaction(one: str, other: str, a: list[str], b: list[str], scores: np.ndarray) -> Interaction:
    pairs = list(zip(a, b, strict=True))
    additive = np.hstack([_dummies(a), _dummies(b)])
    full = _dummies(pairs)
    total = float(((scores - scores.mean()) ** 2).sum())
    apart, together = _residual(additive, scores), _residual(full, scores)
    extra = int(np.linalg.matrix_rank(full) - np.linalg.matrix_rank(additive))
    free = len(scores) - int(np.linalg.matrix_rank(full))
    p = None
    if extra and free and together > 1e-12 * total:
        p = float(stats.f.sf(((apart - together) / extra) / (together / free), extra, free))
    cells = {pair: float(scores[[one == pair for one in pairs]].mean()) for pair in dict.fromkeys(pairs)}
    share = max(0.0, apart - together) / total if total > 0 else 0.0
    return Interaction(one, other, share, p, cells)


def _dummies(labels: Sequence[Any]) -> np.ndarray:
    names = list(dict.fromkeys(labels))
    return np.array([[float(label == name) for name in names] for label in labels])


def _residual(design: np.ndarray, scores: np.ndarray) -> float:
    """Sum of squares that a least squares fit leaves."""
    fitted = design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    return float(((scores - fitted) ** 2).sum())


@dataclass(frozen=True)
class Trend:
    """Whether the score rises or falls with a quantity: Spearman's rank correlation and its p value."""

    quantity: str
    combinations: int
    correlation: float
    p: float


def trend(quantity: str, pairs: Sequence[tuple[float, float]]) -> Trend | None:
    """Of (quantity, score); None with fewer than four, or where the quantity does not vary."""
    if len(pairs) < 4 or len({x for x, _ in pairs}) < 2 or len({y for _, y in pairs}) < 2:
        return None
    found = stats.spearmanr([x for x, _ in pairs], [y for _, y in pairs])
    return Trend(quantity, len(pairs), float(found.statistic), float(found.pvalue))
