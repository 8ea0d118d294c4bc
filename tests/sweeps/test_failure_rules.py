"""The table of failures: what becomes of a trial after each of them."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.protocol import Failure
from sweeps.leases.failures import (
    MAX_CRASHES,
    MAX_LOST,
    SAME_FAILURES,
    End,
    History,
    Retry,
    RetrySmaller,
    all_alike,
    decide,
    halved,
    replay,
)

EVERY: tuple[Failure, ...] = get_args(Failure)
FINAL: tuple[Failure, ...] = ("nan_loss", "data_error", "code_error", "time_out")
LOST: tuple[Failure, ...] = ("lost_worker", "preempted", "node_fault")


@pytest.mark.parametrize("failure", FINAL)
def test_what_would_happen_again_ends_the_trial(failure: Failure) -> None:
    assert decide(failure, History(), 4, 1) == End("failed")


def test_too_little_memory_is_tried_once_with_half_the_batch() -> None:
    assert decide("out_of_memory", History(), 4, 1) == RetrySmaller(2, 2)
    assert decide("out_of_memory", History(shrunk=True), 2, 2) == End("infeasible", "with half the batch as well")
    assert decide("out_of_memory", History(), 1, 1) == End("infeasible", "with one image a batch")


@pytest.mark.parametrize(
    ("batch", "accumulate", "smaller"),
    [
        (2, 1, (1, 2)),
        (4, 1, (2, 2)),
        (16, 2, (8, 4)),
        (3, 1, (1, 3)),
        (5, 1, (2, 2)),
        (7, 2, (3, 5)),
        (1024, 1, (512, 2)),
    ],
)
def test_half_the_batch_keeps_the_images_an_update(batch: int, accumulate: int, smaller: tuple[int, int]) -> None:
    assert halved(batch, accumulate) == smaller


@given(st.integers(1, 512), st.integers(1, 64))
def test_an_even_batch_keeps_them_exactly(half: int, accumulate: int) -> None:
    batch, more = halved(2 * half, accumulate)
    assert (batch, batch * more) == (half, 2 * half * accumulate)


def test_crashes_in_a_row_end_a_trial_and_an_epoch_forgives_them() -> None:
    history = History()
    for crash in range(1, MAX_CRASHES + 1):
        history = history.after("crashed")
        assert isinstance(decide("crashed", history, 2, 1), End) == (crash == MAX_CRASHES)
    assert decide("crashed", history, 2, 1) == End("failed", "3 times in a row without a finished epoch")
    assert decide("crashed", history.after_epoch().after("crashed"), 2, 1) == Retry()


@pytest.mark.parametrize("failure", LOST)
def test_lost_workers_never_count_against_a_trial_but_for_a_far_cap(failure: Failure) -> None:
    history = History(crashes=MAX_CRASHES - 1)
    for time in range(1, MAX_LOST + 1):
        history = history.after(failure)
        assert isinstance(decide(failure, history, 2, 1), End) == (time == MAX_LOST)
    assert history.crashes == MAX_CRASHES - 1


def test_a_worker_may_be_stopped_for_ever() -> None:
    history = History()
    for _ in range(1000):
        history = history.after("stopped")
    assert decide("stopped", history, 2, 1) == Retry()


def test_every_failure_has_a_rule() -> None:
    first = {failure: type(decide(failure, History().after(failure), 2, 1)) for failure in EVERY}
    assert first == {
        "out_of_memory": RetrySmaller, "nan_loss": End, "data_error": End, "code_error": End, "time_out": End,
        "crashed": Retry, "lost_worker": Retry, "preempted": Retry, "node_fault": Retry, "stopped": Retry,
    }  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(EVERY), st.booleans()), max_size=60))
def test_attempts_replayed_give_the_history_that_was_lived(attempts: list[tuple[Failure, bool]]) -> None:
    """As the lease machine lives them, and with a user who has every end tried again."""
    history = History()
    for failure, finished_epoch in attempts:
        if finished_epoch:
            history = history.after_epoch()
        history = history.after(failure)
        decision = decide(failure, history, 8, 1)
        if isinstance(decision, End):
            history = History()
        elif isinstance(decision, RetrySmaller):
            history = History(shrunk=True)
    assert replay(attempts, history.shrunk) == history


def test_an_attempt_that_runs_counts_by_its_epochs_alone() -> None:
    past: list[tuple[str | None, bool]] = [("crashed", False), ("preempted", False)]
    assert replay([*past, (None, False)], False) == History(1, 1)
    assert replay([*past, (None, True)], False) == History()
    assert replay([*past, ("cancelled", False)], False) == History()


def test_a_study_is_stopped_by_its_first_five_trials_alone() -> None:
    same: list[str | None] = ["data_error"] * SAME_FAILURES
    assert all_alike(same) == "data_error"
    assert all_alike(same[1:]) is None
    assert all_alike([*same, "data_error"]) is None
    assert all_alike([*same[1:], "nan_loss"]) is None
    assert all_alike([None, *same[1:]]) is None
    assert all_alike([None] * SAME_FAILURES) is None
