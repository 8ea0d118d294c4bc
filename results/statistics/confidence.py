"""How sure a ranking is: intervals, and which combinations can be told apart.

A score moves for two reasons: other validation images would have given another one, and so would another seed
(Bouthillier et al. 2021, "Accounting for variance in machine learning benchmarks", arXiv:2103.03098).

Images are resampled (Efron & Tibshirani 1993, "An introduction to the bootstrap"), the same ones for every training,
so that what is hard for all cancels in a difference. Seeds are not resampled: a bootstrap of three values has two
thirds of their variance. Their variance is the moderated one of `results.statistics.seednoise`. The two are summed, and
intervals are Student's with the degrees of freedom of Satterthwaite (1946), "An approximate distribution of estimates
of variance components", Biometrics Bulletin 2:110-114.

Which combinations are told apart is decided for all pairs at once by the step-up rule of Benjamini & Hochberg (1995),
J. R. Stat. Soc. B 57:289-300, on the direction of each difference, as Williams, Jones & Tukey (1999), "Controlling
error in multiple comparisons", J. Educ. Behav. Stat. 24:42-69, compare many means: of the claims "A beats B" that are
printed, no more than one in twenty is expected to point the wrong way. That holds among the contenders by themselves:
what beats a combination that learnt nothing, which is easily said, earns no licence for claims between the best (Efron
2008, "Simultaneous inference: when should hypothesis testing problems be combined?", Ann. Appl. Stat. 2:197-223).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from results.statistics.seednoise import SeedNoise, contenders

LEVEL = 0.95
CHOICES = 1000  # bootstrap samples: a standard error from them is sure to 2 %


@dataclass(frozen=True)
class Runs:
    """All complete trainings of one combination, on the same images.

    Attributes:
        scores: one a seed, (seeds,).
        replicates: the score on each choice of images, (seeds, choices).
    """

    scores: np.ndarray
    replicates: np.ndarray

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.scores.mean())

    def by_image(self) -> np.ndarray:
        """How the mean moves with the images, (choices,)."""
        average = self.replicates.mean(axis=0)
        return np.asarray(average - np.nanmean(average))

    def interaction(self) -> float:
        """Variance of a seed's own way with the images: counted among images and among seeds, once too often."""
        seeds = len(self.scores)
        if seeds < 2:
            return 0.0
        single, mean = np.nanvar(self.replicates, axis=1).mean(), np.nanvar(self.replicates.mean(axis=0))
        return float(max(single - mean, 0.0) * seeds / (seeds - 1))


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of two, with its error.

    Attributes:
        value: in units of the score.
        error: standard error.
        freedom: degrees of freedom.
        seeds_known: whether the error holds what seeds do; else it is that of the images alone.
    """

    value: float
    error: float
    freedom: float
    seeds_known: bool

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Student's."""
        half = self.error * _quantile(self.freedom, (1 + level) / 2)
        return self.value - half, self.value + half

    @property
    def chance(self) -> float:
        """Probability that the true value is above 0, all values being thought equally likely before."""
        if self.error == 0:
            return 0.5 if self.value == 0 else float(self.value > 0)
        return float(stdtr(min(self.freedom, 1e9), self.value / self.error))


def choices(images: int, count: int = CHOICES, seed: int = 0) -> np.ndarray:
    """How often each image is taken in each bootstrap sample, (count, images)."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=count)


def mean(runs: Runs, noise: SeedNoise | None, images: int) -> Estimate:
    """The mean over seeds of one combination.

    Args:
        runs: its trainings.
        noise: between seeds, None where it is not known.
        images: how many there are.
    """
    return _estimate(runs.mean, runs.by_image(), [runs], noise, images)


def difference(one: Runs, other: Runs, noise: SeedNoise | None, images: int) -> Estimate:
    """How much better one combination is than another; both on the same choices of images."""
    return _estimate(one.mean - other.mean, one.by_image() - other.by_image(), [one, other], noise, images)


def _estimate(value: float, moved: np.ndarray, runs: Sequence[Runs], noise: SeedNoise | None, images: int) -> Estimate:
    # resampling n of n images shows (n - 1) / n of the variance
    widen = images / max(images - 1, 1)
    by_image = float(np.nanvar(moved)) * widen
    variance = by_image
    squares = by_image**2 / max(images - 1, 1)
    if noise is not None:
        raw = [(*noise.of(one.scores), len(one.scores)) for one in runs]
        for one, (between, _, seeds) in zip(runs, raw, strict=True):
            variance += max(between - one.interaction() * widen, 0.0) / seeds
        parts = [(between / seeds, freedom) for between, freedom, seeds in raw]
        if noise.common:  # one estimate stands for both, so their errors add up
            parts = [(sum(part for part, _ in parts), noise.freedom)]
        squares += sum(part**2 / freedom for part, freedom in parts)
    freedom = variance**2 / squares if squares > 0 else math.inf
    return Estimate(value, math.sqrt(variance), max(freedom, 1.0), noise is not None)


def beats(runs: Sequence[Runs], noise: SeedNoise | None, images: int, level: float = LEVEL) -> np.ndarray:
    """[i, j]: whether i is told apart from j and better, (combinations, combinations).

    Nothing is told apart where the noise between seeds is not known.
    """
    n = len(runs)
    found = np.zeros((n, n), bool)
    if noise is None or n < 2:
        return found
    i, j = np.triu_indices(n, 1)
    pairs = zip(i.tolist(), j.tolist(), strict=True)
    chances = np.array([difference(runs[a], runs[b], noise, images).chance for a, b in pairs])
    running = contenders(np.array([one.mean for one in runs])).astype(int)
    family = running[i] + running[j]  # both contend, one, none
    for number in np.unique(family):
        pairs_of = np.flatnonzero(family == number)
        for pair in pairs_of[_surely(np.minimum(chances, 1 - chances)[pairs_of], 1 - level)]:
            better, worse = (i[pair], j[pair]) if chances[pair] > 0.5 else (j[pair], i[pair])
            found[better, worse] = True
    return found


def _surely(wrong: np.ndarray, share: float) -> np.ndarray:
    """Numbers of the claims that may be made: Benjamini and Hochberg's step-up rule.

    Args:
        wrong: the chance that each is, (claims,).
        share: of those made that may be wrong.
    """
    order = np.argsort(wrong, kind="stable")
    below = np.flatnonzero(wrong[order] <= share * np.arange(1, len(order) + 1) / len(order))
    return np.asarray(order[: below[-1] + 1] if below.size else order[:0])


def places(better: np.ndarray) -> list[tuple[int, int]]:
    """Which places each combination may have: behind those that beat it, ahead of those it beats."""
    n = len(better)
    return [(1 + int(better[:, i].sum()), n - int(better[i].sum())) for i in range(n)]


def _quantile(freedom: float, share: float) -> float:
    return float(stdtrit(min(freedom, 1e9), share))
