"""Which choice matters, by Optuna's PED-ANOVA.

Watanabe, Bansal & Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces"
(arXiv:2304.10255): how much the distribution of a parameter among the best differs from that among all. Parameters that
exist only under another choice are weighed by how often it was made, as Optuna 5 does (arXiv:2601.20800).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from sweeps.report.points import Point
from sweeps.space.schema import SearchSpace
from sweeps.study.forms import distributions

FEWEST = 10  # combinations: with fewer the best are one or two
_BEST = (0.1, 0.3)  # share of the best, the paper's tenth, more in small studies for the sake of `_TOP`
_TOP = 10  # twice what Optuna's page of the evaluator calls stable
_SHUFFLES = 200
optuna.logging.set_verbosity(optuna.logging.WARNING)  # one line a study in memory


@dataclass(frozen=True)
class Importance:
    """A parameter.

    Attributes:
        share: of what all parameters have, 0 to 1.
        p: how often it has as much when the scores are dealt out at random: without that a share says nothing, for
            shares sum to 1 even where no choice matters.
    """

    parameter: str
    share: float
    p: float


def importance(space: SearchSpace, points: Sequence[Point]) -> tuple[list[Importance], int]:
    """Each parameter, the greatest share first; and how many combinations count as the best.

    Each combination counts once, with the mean of its seeds. Empty where there are fewer than `FEWEST`.
    """
    if len(points) < FEWEST:
        return [], 0
    quantile = max(_BEST[0], min(_BEST[1], _TOP / len(points)))
    scores = [point.score for point in points]
    forms = [
        {name: form for name, form in distributions(space, point.assignment).items() if name != "seed"}
        for point in points
    ]
    found = _pearson(points, forms, scores, quantile)
    rng = np.random.default_rng(0)
    chance = dict.fromkeys(found, 1)
    for _ in range(_SHUFFLES):
        for name, value in _pearson(points, forms, rng.permutation(scores).tolist(), quantile).items():
            chance[name] += value >= found[name]
    total = sum(found.values()) or 1.0
    rows = [Importance(name, value / total, chance[name] / (_SHUFFLES + 1)) for name, value in found.items()]
    return sorted(rows, key=lambda row: -row.share), round(quantile * len(points))


def _pearson(
    points: Sequence[Point],
    forms: Sequence[dict[str, optuna.distributions.BaseDistribution]],
    scores: Sequence[float],
    quantile: float,
) -> dict[str, float]:
    """What the evaluator gives before shares are made of it."""
    study = optuna.create_study(direction="maximize")
    study.add_trials([
        optuna.create_trial(params=dict(point.chosen), distributions=form, value=score)
        for point, form, score in zip(points, forms, scores, strict=True)
    ])  # fmt: skip
    with warnings.catch_warnings(action="ignore"):  # that a rarely chosen name's parameters are uncertain
        evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
        return optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
