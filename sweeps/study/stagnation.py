"""``budget: {patience: N}``: a study ends when N combinations in a row brought no gain.

Optuna's BestValueStagnationEvaluator (optuna/terminator/improvement/evaluator.py) counts trials since the best one;
so does this, with two differences. It counts combinations by their mean over seeds, as the ranking does; and a rise
counts only if it is more than another seed of the same combination would have given, where that is known.

Optuna's other evaluators bound what is left to gain by a Gaussian process: RegretBoundEvaluator (Makarova et al. 2022,
"Automatic termination for hyperparameter optimization", PMLR 188) and EMMREvaluator (Ishibashi et al. 2023, PMLR 206).
They see only parameters that every trial has (`intersection_search_space`), so nothing of what stands under the name
of an optimizer; they load torch, which the study server is free of; and the whole module is deprecated since Optuna
4.9 and goes with 6.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class End:
    """How a trial ended: its combination, and its score or None where the pruner stopped it."""

    combination: str
    score: float | None


@dataclass(frozen=True)
class Stagnation:
    """How long the best has not risen.

    Attributes:
        combinations: that ended since it last rose by more than `gain`.
        gain: what a rise must exceed, in units of the score.
        learnt: whether that is the noise between seeds as the study's own repeats show it.
    """

    combinations: int
    gain: float
    learnt: bool


def stagnation(ends: Sequence[End], gain: float | None = None) -> Stagnation:
    """How many combinations, in the order in which they first ended, came after the last rise of the best mean.

    Args:
        ends: trials that are complete or pruned, in the order of their ends.
        gain: what a rise must exceed; None for the standard deviation between seeds
            (`results.statistics.seednoise`), and for 0 where nothing was repeated.
    """
    scores: dict[str, list[float]] = {}
    for end in ends:
        scores.setdefault(end.combination, [])
        if end.score is not None:
            scores[end.combination].append(end.score)
    noise = _noise(list(scores.values())) if gain is None else None
    needed = gain if gain is not None else noise or 0.0
    best: float | None = None
    since = 0
    for found in scores.values():
        since += 1
        if found and (best is None or fmean(found) > best + needed):
            best, since = fmean(found), 0
    return Stagnation(since, needed, noise is not None)


def _noise(scores: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation between seeds, as the ranking learns it; None where nothing was repeated."""
    if all(len(one) < 2 for one in scores):
        return None
    import numpy as np

    from results.statistics import seednoise

    found = seednoise.learnt([np.array(one) for one in scores if one])
    return found.deviation if found else None
