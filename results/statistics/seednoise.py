"""How much a score moves with the seed alone, learnt from the combinations of a study that were repeated.

Two or three seeds say little about one combination's own noise, so that of all is pooled, and each combination is
drawn towards it as far as they agree: the moderated variance of Smyth (2004), "Linear models and empirical Bayes
methods for assessing differential expression", Stat. Appl. Genet. Mol. Biol. 3(1):3. With fewer than five combinations
that were repeated the pooled variance stands for all, as in Student's test.

What learnt next to nothing scores next to nothing with every seed: it has no noise, and says nothing about that of the
others. So noise is learnt from contenders alone (`contenders`), and a variance of which next to nothing is known is not
taken for smaller than the pooled one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, polygamma

CONTENDS = 0.5  # of the best mean
_FEW = 5  # fewer variances do not tell how much variances differ: then all are one
_SURE = 4.0  # degrees of freedom under which a variance may be small by chance


@dataclass(frozen=True)
class SeedNoise:
    """Variance of a score between seeds.

    Attributes:
        variance: pooled, in squared units of the score.
        freedom: degrees of freedom of what was observed; infinite where the noise was given.
        prior: degrees of freedom of the common value in each combination's own; infinite where all agree.
        centre: the common value that each combination is drawn to.
    """

    variance: float
    freedom: float
    prior: float
    centre: float

    @property
    def deviation(self) -> float:
        """The pooled standard deviation, in units of the score."""
        return math.sqrt(self.variance)

    @property
    def common(self) -> bool:
        """Whether all combinations have the same estimate."""
        return math.isinf(self.prior)

    def of(self, scores: np.ndarray) -> tuple[float, float]:
        """(variance, degrees of freedom) for a combination with these scores, one a seed."""
        own = len(scores) - 1
        if self.common:
            return self.centre, self.freedom
        spread = float(np.var(scores, ddof=1)) * own if own else 0.0
        variance = (self.prior * self.centre + spread) / (self.prior + own)
        freedom = min(self.prior + own, self.freedom)
        if freedom < _SURE and variance < self.variance:
            return self.variance, self.freedom
        return variance, freedom


def given(deviation: float) -> SeedNoise:
    """The noise that somebody knows from elsewhere, as a standard deviation."""
    return SeedNoise(deviation**2, math.inf, math.inf, deviation**2)


def contenders(means: np.ndarray) -> np.ndarray:
    """Which combinations are in the running: those with at least half of the best mean, (combinations,)."""
    return np.asarray(means >= CONTENDS * means.max())


def learnt(scores: Sequence[np.ndarray]) -> SeedNoise | None:
    """The noise between seeds.

    Args:
        scores: of each combination, one a seed.

    Returns:
        That of the contenders; None where none of them has two seeds.
    """
    if not scores:
        return None
    running = contenders(np.array([one.mean() for one in scores]))
    repeated = [one for one, runs in zip(scores, running, strict=True) if runs and len(one) > 1]
    if not repeated:
        return None
    freedom = np.array([len(one) - 1 for one in repeated], dtype=float)
    variances = np.array([np.var(one, ddof=1) for one in repeated])
    pooled = float((freedom * variances).sum() / freedom.sum())
    prior, centre = _prior(variances, freedom) if pooled > 0 else (math.inf, pooled)
    known = float(freedom.sum()) if prior >= _SURE else _effective(variances, freedom)
    return SeedNoise(pooled, known, prior, pooled if math.isinf(prior) else centre)


def _effective(variances: np.ndarray, freedom: np.ndarray) -> float:
    """Degrees of freedom of a variance pooled from unlike ones.

    Satterthwaite (1946), Biometrics Bulletin 2:110; a squared variance is too large by (f + 2) / f on average.
    """
    squares = float((freedom * variances**2 * freedom / (freedom + 2)).sum())
    return float(min((freedom * variances).sum() ** 2 / squares, freedom.sum()))


def _prior(variances: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """(degrees of freedom, value) of the common variance: Smyth's moments of the logarithms, his section 6.2."""
    if len(variances) < _FEW:
        return math.inf, float(variances.mean())
    # as in his program limma: two equal scores must not give a logarithm of 0
    e = np.log(np.maximum(variances, 1e-5 * np.median(variances) or 1e-12)) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(e.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if excess <= 0:
        return math.inf, math.exp(e.mean())
    prior = 2 * _inverse_trigamma(excess)
    return prior, math.exp(e.mean() + float(digamma(prior / 2)) - math.log(prior / 2))


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value, by halving its logarithm: trigamma falls from infinity to 0."""
    low, high = -20.0, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if polygamma(1, math.exp(middle)) > value else (low, middle)
    return math.exp(middle)
