"""Further seeds and images held out: what is ordered, and each statistical claim against a known answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from evidence import alike, figure
from scipy import stats

from results.errors import ResultsError
from results.ranking.confirmation import Order, judges, leader, order, outcome, owed, pick, winner
from results.ranking.heldout import seed_noise
from results.ranking.standings import stand
from results.records import HeldRecord, TrialRecord

TrialMaker = Callable[..., TrialRecord]
NOISE = 0.01


@pytest.fixture
def run_of(trial_of: TrialMaker) -> TrialMaker:
    """A complete trial: number, combination, seed, score."""

    def make(number: int, combination: str, seed: int, score: float | None = 0.5, **more: Any) -> TrialRecord:
        return trial_of(number, score, combination=combination, seed=seed, **more)

    return make


@pytest.fixture
def four(run_of: TrialMaker) -> list[TrialRecord]:
    return [run_of(i, name, 0, score) for i, (name, score) in enumerate(zip("abcd", (0.40, 0.50, 0.45, 0.55)))]  # noqa: B905


def test_the_best_and_the_baseline_get_the_next_seeds_in_rounds(four: list[TrialRecord]) -> None:
    found = order(four, top=2, seeds=2)
    assert [(e.combination, e.promised, e.trials, e.seeds, e.chosen) for e in found.entries] == [
        ("d", 0.55, (3,), (1, 2), True),
        ("b", 0.50, (1,), (1, 2), True),
        ("a", 0.40, (0,), (1, 2), False),
    ]
    turns = [(trial.number, seed) for trial, seed in owed(found, four)]
    assert turns == [(3, 1), (1, 1), (0, 1), (3, 2), (1, 2), (0, 2)]
    assert Order.read(found.document()) == found


def test_an_interrupted_order_goes_on_with_what_it_owes(four: list[TrialRecord], run_of: TrialMaker) -> None:
    first = order(four, top=2, seeds=2)
    later = [*four, run_of(4, "d", 1, 0.30), run_of(5, "b", 1, None, state="failed")]
    again = order(later, top=2, seeds=2, before=first)
    assert again == first, "d has fallen behind c, yet the choice stands"
    assert [(trial.combination, seed) for trial, seed in owed(again, later)] == [
        ("a", 1), ("d", 2), ("b", 2), ("a", 2),
    ]  # fmt: skip


def test_what_ends_late_is_looked_at_again(four: list[TrialRecord], run_of: TrialMaker) -> None:
    waits = [*four[:3], run_of(3, "d", 0, None, state="waiting")]
    first = order(waits, top=1, seeds=1)
    assert [one.combination for one in first.entries if one.chosen] == ["b"]
    again = order([*four, run_of(4, "b", 1), run_of(5, "a", 1)], top=1, seeds=1, before=first)
    assert [(one.combination, one.seeds) for one in again.entries if one.chosen] == [("d", (1,)), ("b", ())]


def test_further_seeds_are_above_those_of_the_space(four: list[TrialRecord]) -> None:
    assert {one.seeds for one in order(four, top=2, seeds=2, highest=4).entries} == {(5, 6)}


def test_more_seeds_and_new_trials_are_a_new_order_with_the_old_promise(
    four: list[TrialRecord], run_of: TrialMaker
) -> None:
    first = order(four, top=1, seeds=1)
    later = [*four, run_of(4, "d", 1, 0.51), run_of(5, "a", 1, 0.41)]
    assert owed(order(later, 1, 1, first), later) == []
    more = order(later, top=1, seeds=3, before=first)
    assert [(e.combination, e.promised, e.trials, e.seeds) for e in more.entries] == [
        ("d", 0.55, (3,), (2, 3)),
        ("a", 0.40, (0,), (2, 3)),
    ]
    new = [*later, run_of(6, "e", 0, 0.60)]
    assert [(e.combination, e.chosen) for e in order(new, 1, 1, first).entries] == [
        ("e", True), ("a", False), ("d", True),
    ]  # fmt: skip
    with pytest.raises(ResultsError, match="no trial is complete yet, so there is nothing to confirm"):
        order([run_of(0, "a", 0, None, state="failed")], 1, 1)


def test_combinations_that_are_named_get_an_order_of_their_own(four: list[TrialRecord], run_of: TrialMaker) -> None:
    named = order(four, 1, 1, only=("a",))
    assert [(one.combination, one.seeds, one.chosen) for one in named.entries] == [("a", (1,), False)]
    later = [*four, run_of(4, "a", 1)]
    assert order(later, 1, 1, named, only=("a",)) == named and owed(named, later) == []
    assert leader(later, named.document()) == stand(later).of("d"), "the first seeds of a baseline choose nothing"
    plain = order(later, 1, 1, named)
    assert [(one.combination, one.chosen) for one in plain.entries] == [("d", True), ("a", False)]
    both = order(later, 1, 1, named, only=("d", "a"))
    assert both.entries == plain.entries and both.only == ("d", "a")
    three = order(four, 3, 1)
    then = order(four, 1, 1, three, only=("a",))
    assert [(one.combination, one.chosen, bool(one.seeds)) for one in then.entries] == [
        ("a", False, True), ("d", True, False), ("b", True, False), ("c", True, False),
    ], "what was confirmed before stays so"  # fmt: skip


def test_what_was_confirmed_stays_the_best_until_something_is_tried(
    four: list[TrialRecord], run_of: TrialMaker
) -> None:
    """b has the higher mean in the end, by a single seed that nobody has looked at twice."""
    ordered = order(four, 1, 2, only=("d",))
    later = [*four, run_of(4, "d", 1, 0.40), run_of(5, "d", 2, 0.40)]
    found = leader(later, ordered.document())
    assert found and (found.combination, found.mean) == ("d", pytest.approx(0.45))
    more = order(later, 1, 4, ordered, only=("d",))
    assert more.entries[0].chosen and more.entries[0].promised == 0.55
    assert pick(later)[0].combination == "b" and pick(later, None, more.document())[0].number == 3
    assert leader([*later, run_of(6, "e", 0, 0.47)], more.document()) == stand(later).of("b")
    assert leader([], None) is None


def test_the_winner_is_one_that_was_confirmed(four: list[TrialRecord], run_of: TrialMaker) -> None:
    found = order(four, top=2, seeds=1)
    later = [*four, run_of(4, "d", 1, 0.35), run_of(5, "b", 1, 0.48)]
    best = winner(found, later)
    assert (best.combination, best.mean) == ("b", pytest.approx(0.49)), "d has 0.45, and c's single 0.45 does not count"
    assert [one.number for one in judges(found.entry("b"), later)] == [5], "trial 1 had a part in the choice"
    assert [one.number for one in judges(found.entry("a"), later)] == [0], "nothing else is there"


def test_the_promise_is_too_high_by_the_expected_luck_of_the_first_of_eight(run_of: TrialMaker) -> None:
    """Eight equal combinations: the first one's promise exceeds its new seeds by E[max of 8] = 1.42360 deviations."""
    rng = np.random.default_rng(4)
    trials = [run_of(i, f"c{i}", 0) for i in range(8)]
    luck = []
    for scores in rng.normal(0.5, NOISE, (1500, 9)):
        tried = [replace(one, score=score) for one, score in zip(trials, scores[:8].tolist(), strict=True)]
        entry = order(tried, top=1, seeds=1).entries[0]
        new = run_of(8, entry.combination, entry.seeds[0], float(scores[8]))
        luck.append(entry.promised - float(entry.fresh([*tried, new])[0].score or 0))
    assert np.mean(luck) / NOISE == pytest.approx(1.4236, abs=0.1)


def held_out(
    run_of: TrialMaker, winners: Sequence[int], base: Sequence[int]
) -> tuple[Order, list[TrialRecord], dict[int, HeldRecord]]:
    """A winner b and a baseline a with new seeds that find so many of ten particles in the images held out."""
    first = [run_of(0, "a", 0, 0.50), run_of(1, "b", 0, 0.60)]
    found = order(first, top=1, seeds=max(len(winners), len(base)))
    later = [run_of(2 + i, "b", 1 + i, 0.55) for i in range(len(winners))]
    later += [run_of(10 + i, "a", 1 + i, 0.51) for i in range(len(base))]
    held = {2 + i: alike(n) for i, n in enumerate(winners)} | {10 + i: alike(n) for i, n in enumerate(base)}
    return found, [*first, *later], held


def test_intervals_are_students_where_images_do_not_matter(run_of: TrialMaker) -> None:
    """All images are alike, so that only seeds move a score: scipy's two-sample t interval to the last digits."""
    ordered, trials, held = held_out(run_of, (7, 8, 8), (5, 6, 6))
    found = outcome("segm_mAP", ordered, winner(ordered, trials), trials, held)
    a, b = ([figure(n) for n in side] for side in ((7, 8, 8), (5, 6, 6)))
    expected = stats.ttest_ind(a, b).confidence_interval()
    assert found.difference == pytest.approx((np.mean(a) - np.mean(b), expected.low, expected.high), abs=1e-9)
    spread = np.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / 2)
    half = stats.t.ppf(0.975, 4) * spread / np.sqrt(3)
    assert (found.winner.low, found.winner.high) == pytest.approx((np.mean(a) - half, np.mean(a) + half), abs=1e-9)
    assert found.noise == pytest.approx(spread) and found.images == 20 and found.looks == 2
    assert found.verdict == "the winner beats the baseline: the interval excludes 0"


def test_what_was_promised_too_much_is_split_by_hand(run_of: TrialMaker) -> None:
    ordered, trials, held = held_out(run_of, (5, 5), (5, 4))
    found = outcome("segm_mAP", ordered, winner(ordered, trials), trials, held)
    document = found.document()
    assert document["winner"]["promised_too_much"] == pytest.approx(0.60 - figure(5))
    assert (found.winner.promised, found.winner.fresh) == (0.60, pytest.approx(0.55))
    assert document["promised_difference"] == pytest.approx(0.10)
    assert document["difference"] == pytest.approx(figure(5) - (figure(5) + figure(4)) / 2)
    assert found.verdict.startswith("not told apart: the interval includes 0")


def test_one_seed_of_each_says_nothing_of_the_next_one(run_of: TrialMaker) -> None:
    first = [run_of(0, "a", 0, 0.50), run_of(1, "b", 0, 0.60)]
    ordered = order(first, top=1, seeds=1)
    found = outcome("segm_mAP", ordered, winner(ordered, first), first, {0: alike(5), 1: alike(8)})
    assert found.noise is None and found.document()["covers"] == "images"
    assert found.verdict.startswith("not told apart: the interval excludes 0, over images only")


def test_a_baseline_that_wins_is_no_difference(run_of: TrialMaker) -> None:
    trials = [run_of(0, "a", 0, 0.60), run_of(1, "b", 0, 0.50), run_of(2, "a", 1, 0.58)]
    ordered = order(trials[:2], top=1, seeds=1)
    found = outcome("segm_mAP", ordered, winner(ordered, trials), trials, {2: alike(6)})
    assert found.difference is None and found.winner == found.baseline
    assert found.verdict == "the baseline is the winner: nothing that was confirmed is better"


def test_a_checkpoint_that_is_gone_is_left_out_and_none_left_is_a_line(run_of: TrialMaker) -> None:
    ordered, trials, held = held_out(run_of, (7, 8, 8), (5, 6, 6))
    del held[2]
    assert outcome("segm_mAP", ordered, winner(ordered, trials), trials, held).winner.trials == (3, 4)
    gone = {number: one for number, one in held.items() if number < 10}
    with pytest.raises(ResultsError, match=r"no checkpoint of combination a is left .* --top 1 --seeds 4"):
        outcome("segm_mAP", ordered, winner(ordered, trials), trials, gone)


def test_a_training_that_two_studies_made_counts_once_for_the_noise(run_of: TrialMaker) -> None:
    """Two stages of a campaign train the winner with one seed, to the last digit; further seeds of either count."""
    first = [run_of(0, "a", 0, 0.50), run_of(1, "a", 1, 0.52), run_of(2, "b", 0, 0.40)]
    second = [run_of(0, "c", 0, 0.30), run_of(1, "a", 0, 0.50), run_of(2, "a", 2, 0.57)]
    whole = [*first, run_of(3, "a", 2, 0.57)]

    def noise(*studies: list[TrialRecord]) -> object:
        return seed_noise([(trials, stand(trials).standings) for trials in studies])

    assert noise(first, second) == noise(whole) != noise(first)
    assert noise(first, first) == noise(first)
    assert noise(first[2:], second[:2]) is None
