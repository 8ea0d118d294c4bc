"""The noise between seeds: known answers, and what is learnt from made-up scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from results.statistics.seednoise import _inverse_trigamma, given, learnt


def test_one_seed_each_teaches_nothing() -> None:
    assert learnt([np.array([0.4]), np.array([0.5])]) is None
    assert learnt([]) is None


def test_pooled_by_degrees_of_freedom() -> None:
    """(2 * 1 + 1 * 4) / 3, worked by hand: variances 1 (three scores) and 4 (two)."""
    noise = learnt([40 + np.array([-1.0, 0.0, 1.0]), 40 + np.array([0.0, math.sqrt(8)]), np.array([45.0])])
    assert noise is not None
    assert (noise.variance, noise.freedom) == (pytest.approx(2.0), 3)
    assert noise.common, "two variances as near as these are one"
    assert noise.of(np.array([45.0])) == (pytest.approx(2.0), 3)


def test_what_is_given_is_certain() -> None:
    assert given(0.01).of(np.array([0.3, 0.9])) == (pytest.approx(1e-4), math.inf)


def test_the_inverse_of_trigamma() -> None:
    """trigamma(1) is pi^2 / 6, trigamma(1/2) is pi^2 / 2 (Abramowitz & Stegun 6.4.2 and 6.4.4)."""
    assert _inverse_trigamma(math.pi**2 / 6) == pytest.approx(1.0, abs=1e-9)
    assert _inverse_trigamma(math.pi**2 / 2) == pytest.approx(0.5, abs=1e-9)


def test_the_spread_of_variances_is_found_again() -> None:
    """Smyth's model: each variance is the common 0.0004 times prior / chi-square(prior), prior 6."""
    rng = np.random.default_rng(0)
    variances = 4e-4 * 6 / rng.chisquare(6, 3000)
    noise = learnt([rng.normal(0.5, math.sqrt(v), 4) for v in variances])
    assert noise is not None and not noise.common
    assert noise.prior == pytest.approx(6, rel=0.25)
    assert noise.centre == pytest.approx(4e-4, rel=0.05)


def test_an_unstable_combination_keeps_most_of_its_own_variance() -> None:
    rng = np.random.default_rng(1)
    calm = [rng.normal(0.5, 0.005, 5) for _ in range(20)]
    wild = np.array([0.2, 0.5, 0.6, 0.3, 0.4])
    noise = learnt([*calm, wild])
    assert noise is not None
    assert noise.of(wild)[0] > 0.3 * wild.var(ddof=1)
    assert noise.of(calm[0])[0] < 0.01 * wild.var(ddof=1)


def test_what_learnt_nothing_says_nothing_about_the_noise_of_others() -> None:
    contenders = [np.array([0.40, 0.42]), np.array([0.38, 0.37, 0.39])]
    nothing = [np.array([0.001 * n, 0.001 * n + 1e-6]) for n in range(9)]
    assert learnt([*contenders, *nothing]) == learnt(contenders)
    assert learnt([np.array([0.4]), *nothing]) is None


def test_two_seeds_that_agree_by_chance_are_not_calm() -> None:
    """Where variances differ wildly that of two seeds is no evidence; worked by hand for the pooled one."""
    pairs = [np.array([0.4, 0.4 + gap]) for gap in (1e-4, 1e-3, 1e-3, 1e-2, 5e-2, 8e-2)]
    noise = learnt(pairs)
    assert noise is not None and noise.prior < 4
    assert noise.of(pairs[0]) == noise.of(np.array([0.4])) == (noise.variance, noise.freedom)
    assert noise.variance == pytest.approx((1e-8 + 2e-6 + 1e-4 + 25e-4 + 64e-4) / 2 / 6)
    assert noise.freedom < 6, "unlike variances pool to fewer degrees of freedom"
    assert noise.of(pairs[-1])[0] > noise.variance


def test_equal_scores_are_no_noise() -> None:
    noise = learnt([np.array([0.5, 0.5]), np.array([0.4, 0.4])])
    assert noise is not None and noise.variance == 0.0
