"""The checks notice what they are there for."""

from __future__ import annotations

import checks
import pytest
from faults import KILLED, Fault
from ledger import Line


def begun(trial: int, fence: int, epoch: int, worker: str, at: float) -> Line:
    return Line("begin", trial, fence, epoch, 100 * trial + fence, worker, at)


LINES = [begun(0, 1, 1, "w0.1", 1.0), begun(0, 1, 2, "w0.1", 2.0), begun(0, 2, 2, "w0.2", 4.0)]
KILL = Fault(KILLED, 3.0, 3.0, workers={"w0.1"})


def test_an_epoch_that_a_killed_worker_was_in_may_begin_again() -> None:
    victims = checks.hit(LINES, [KILL])
    assert victims == {(0, 1)}
    assert checks.trained_again(LINES, victims) == 1


def test_an_epoch_that_begins_again_for_nothing_is_told() -> None:
    with pytest.raises(AssertionError, match="trial 0 epoch 2: again for nothing"):
        checks.trained_again(LINES, checks.hit(LINES, [Fault("server killed", 3.0, 3.0)]))


def test_two_epochs_for_one_fault_are_too_many() -> None:
    lines = [*LINES, begun(0, 2, 1, "w0.2", 3.5)]
    with pytest.raises(AssertionError, match="more than one epoch"):
        checks.trained_again(lines, checks.hit(lines, [KILL]))


def test_a_training_that_had_given_its_result_was_not_hit() -> None:
    assert checks.hit([*LINES[:2], Line("result", 0, 1, 0, 1, "w0.1", 2.5)], [KILL]) == set()


def test_a_fault_hits_only_the_latest_training_of_its_worker() -> None:
    lines = [*LINES[:2], begun(1, 1, 1, "w0.1", 2.9)]
    assert checks.hit(lines, [KILL]) == {(1, 1)}
