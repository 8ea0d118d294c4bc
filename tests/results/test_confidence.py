"""Each statistical claim against an answer that is known: by formula, or by a simulation whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.confidence import Estimate, Runs, beats, choices, difference, mean, places
from results.statistics.seednoise import given, learnt


def averaged(values: np.ndarray, taken: np.ndarray) -> Runs:
    """Runs whose score is a plain mean over images, where everything is known; values: (seeds, images)."""
    return Runs(values.mean(axis=1), values @ taken.T / taken.sum(axis=1))


def test_each_bootstrap_sample_has_as_many_images_as_there_are() -> None:
    taken = choices(50, 1000)
    assert (taken.sum(axis=1) == 50).all()
    assert taken.mean(axis=0) == pytest.approx(1.0, abs=0.15)
    assert np.array_equal(taken, choices(50, 1000)), "the same for every trial and every time"


def test_the_error_over_images_is_the_standard_error_of_a_mean() -> None:
    """For a mean the bootstrap's variance is known (Efron & Tibshirani 1993, 5.12): sum of squares / n^2."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.2, (1, 40))
    found = mean(averaged(values, choices(40, 20000)), None, 40)
    assert found.error == pytest.approx(values.std(ddof=1) / math.sqrt(40), rel=0.02)
    assert not found.seeds_known


def test_what_all_share_cancels_in_a_difference() -> None:
    rng = np.random.default_rng(1)
    hard = rng.normal(0.5, 0.3, 40)
    taken = choices(40)
    one, other = (averaged((hard + rng.normal(shift, 0.01, (1, 40))), taken) for shift in (0.02, 0.0))
    apart = difference(one, other, None, 40)
    assert mean(one, None, 40).error > 10 * apart.error
    assert apart.value == pytest.approx(0.02, abs=0.01)


def test_students_interval_by_hand() -> None:
    """Three seeds 0.50, 0.51, 0.52 on images that do not matter: 0.51 +- 4.30265 * 0.01 / sqrt(3)."""
    scores = np.array([0.50, 0.51, 0.52])
    runs = Runs(scores, np.repeat(scores[:, None], 200, axis=1))
    low, high = mean(runs, learnt([scores]), 50).interval()
    assert (low, high) == (pytest.approx(0.51 - 0.0248414, abs=1e-6), pytest.approx(0.51 + 0.0248414, abs=1e-6))


def test_the_difference_of_two_is_students_two_sample_test() -> None:
    """Pooled variance, equal sizes, no noise by images: scipy's ttest_ind to the last digits."""
    a, b = np.array([0.50, 0.53, 0.52, 0.55]), np.array([0.49, 0.50, 0.47, 0.48])
    runs = [Runs(one, np.repeat(one[:, None], 100, axis=1)) for one in (a, b)]
    found = difference(runs[0], runs[1], learnt([a, b]), 50)
    assert found.freedom == pytest.approx(6)
    expected = stats.ttest_ind(a, b, alternative="less").pvalue
    assert found.chance == pytest.approx(expected, abs=1e-12)


def test_the_chance_of_nothing_is_one_half() -> None:
    assert Estimate(0.0, 0.0, 5, True).chance == Estimate(0.0, 0.1, 5, True).chance == 0.5
    assert Estimate(0.1, 0.0, 5, True).chance == 1.0
    assert Estimate(0.1, 0.05, math.inf, True).chance == pytest.approx(0.97725, abs=1e-5)


def simulated(rng: np.random.Generator, truths: np.ndarray, seeds: int, taken: np.ndarray, noise: float) -> list[Runs]:
    """Scores as means over images: what an image, a seed, and both together do is normal; in units of points.

    A truth of 0 is a score of 40 points.
    """
    images = taken.shape[1]
    hard = 40 + rng.normal(0, 8, images)
    return [
        averaged(
            truth + hard + rng.normal(0, noise, (seeds, 1)) + rng.normal(0, 3, (seeds, images)), taken
        )
        for truth in truths
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "seeds", "least"), [(2, 2, 0.90), (2, 3, 0.923), (6, 3, 0.923)])
def test_intervals_hold_the_truth_95_times_in_100(count: int, seeds: int, least: float) -> None:
    """Within three standard errors of 600 studies; with two degrees of freedom Satterthwaite's is a little narrow."""
    rng = np.random.default_rng(count + seeds)
    taken = choices(50, 300)
    single, paired, studies = [], [], 600
    for _ in range(studies):
        truths = rng.normal(0, 1, count)
        runs = simulated(rng, truths, seeds, taken, 1.0)
        noise = learnt([one.scores for one in runs])
        low, high = mean(runs[0], noise, 50).interval()
        single.append(low <= 40 + truths[0] <= high)
        low, high = difference(runs[0], runs[1], noise, 50).interval()
        paired.append(low <= truths[0] - truths[1] <= high)
    assert np.mean(single) > 0.923
    assert least < np.mean(paired) < 0.999


def test_without_the_seeds_an_interval_is_far_too_narrow() -> None:
    """Why one seed is never said to win: its interval over images alone misses the truth most of the time."""
    rng = np.random.default_rng(5)
    taken = choices(50, 300)
    held = []
    for _ in range(300):
        runs = simulated(rng, np.zeros(2), 1, taken, 1.0)
        low, high = difference(runs[0], runs[1], None, 50).interval()
        held.append(low <= 0 <= high)
    assert np.mean(held) < 0.75


def test_of_the_claims_at_most_one_in_twenty_points_the_wrong_way() -> None:
    rng = np.random.default_rng(7)
    taken = choices(50, 300)
    right = wrong = 0
    for _ in range(250):
        truths = np.where(rng.random(6) < 0.3, 0.0, rng.uniform(0, 3, 6))
        runs = simulated(rng, truths, 3, taken, 0.7)
        better = beats(runs, learnt([one.scores for one in runs]), 50)
        so = truths[:, None] > truths[None, :]
        right, wrong = right + int((better & so).sum()), wrong + int((better & ~so).sum())
    assert right > 800 and wrong / (right + wrong) < 0.05


def test_where_all_are_equal_hardly_a_study_names_a_winner() -> None:
    rng = np.random.default_rng(8)
    taken = choices(50, 300)
    named = 0
    for _ in range(300):
        runs = simulated(rng, np.zeros(6), 3, taken, 1.0)
        named += bool(beats(runs, learnt([one.scores for one in runs]), 50).any())
    assert named / 300 < 0.12


@pytest.mark.parametrize("seeds", [(3,) * 6, (2,) * 6, (3, 3, 1, 1, 1, 1)])
def test_what_learnt_nothing_makes_no_winner_among_the_equal(seeds: tuple[int, ...]) -> None:
    """Eight that score about nothing with every seed, beside six equal ones whose seeds differ by two points."""
    rng = np.random.default_rng(9)
    taken = choices(50, 200)
    studies, named = 150, 0
    for _ in range(studies):
        hard = rng.normal(0, 8, 50)
        equal = [
            averaged(40 + hard + rng.normal(0, 2, (n, 1)) + rng.normal(0, 3, (n, 50)), taken) for n in seeds
        ]  # fmt: skip
        nothing = [averaged(rng.exponential(0.01, (max(seeds), 50)), taken) for _ in range(8)]
        runs = [*equal, *nothing]
        better = beats(runs, learnt([one.scores for one in runs]), 50)
        assert better[:6, 6:].all()
        named += bool(better[:6, :6].any())
    assert named / studies < 0.2, "as often as without the eight"


def test_nobody_wins_by_one_seed_unless_the_noise_is_known() -> None:
    taken = choices(50)
    rng = np.random.default_rng(0)
    runs = simulated(rng, np.array([0.0, 30.0]), 1, taken, 0.1)
    assert not beats(runs, learnt([one.scores for one in runs]), 50).any()
    assert beats(runs, given(1.0), 50).tolist() == [[False, False], [True, False]]


def test_benjamini_and_hochberg_by_hand() -> None:
    """Three means 40, 42, 44 with errors 1: of saying so the chances are wrong by 0.0786, 0.0786 and 0.0023.

    The smallest is below 0.05 / 3, the next two above 0.05 * 3 / 3: one claim. With means 40, 42.5, 45 the two are
    0.0385, below 0.05, and step up to three claims, though the first of them is above 0.05 * 2 / 3.
    """
    flat = np.zeros((1, 100))
    one_claim = [Runs(np.array([value]), flat + value) for value in (40.0, 42.0, 44.0)]
    assert np.argwhere(beats(one_claim, given(1.0), 50)).tolist() == [[2, 0]]
    three = [Runs(np.array([value]), flat + value) for value in (40.0, 42.5, 45.0)]
    assert np.argwhere(beats(three, given(1.0), 50)).tolist() == [[1, 0], [2, 0], [2, 1]]


def test_places() -> None:
    """The first beats the last two, the second beats the last: 1-2, 1-3, 2-4, 3-4."""
    better = np.zeros((4, 4), bool)
    better[0, 2:] = better[1, 3] = True
    assert places(better) == [(1, 2), (1, 3), (2, 4), (3, 4)]
    assert places(np.zeros((3, 3), bool)) == [(1, 3)] * 3
