"""What becomes of a trial after each kind of failure: one table, as pure functions over data.

| failure | rule |
|---|---|
| out_of_memory | once more from scratch with half the batch and as much more accumulation; then infeasible |
| nan_loss, data_error, code_error, time_out | failed: the same would happen again |
| crashed | goes on from its last checkpoint; three deaths in a row without a finished epoch: failed |
| lost_worker, preempted, node_fault | goes on elsewhere; twenty in a row without a finished epoch: failed |
| stopped | goes on; somebody ended the worker, and may as often as he likes |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from runner.protocol import Failure

MAX_CRASHES = 3  # trainer deaths in a row without a finished epoch
MAX_LOST = 20  # a training that takes its machine down each time looks like this too
SAME_FAILURES = 5  # of a study's first trials; then it waits for somebody
_FINAL = ("nan_loss", "data_error", "code_error", "time_out")
_LOST = ("lost_worker", "preempted", "node_fault")


@dataclass(frozen=True)
class History:
    """What happened to a trial, as far as the rules look at it.

    Attributes:
        crashes: trainer deaths since its last finished epoch.
        lost: times since then that its worker was lost, preempted or unable to train.
        shrunk: whether it runs with a smaller batch already.
    """

    crashes: int = 0
    lost: int = 0
    shrunk: bool = False

    def after_epoch(self) -> History:
        """An epoch was finished: what came before it is forgiven."""
        return replace(self, crashes=0, lost=0) if self.crashes or self.lost else self

    def after(self, failure: str) -> History:
        """An attempt ended so."""
        if failure == "crashed":
            return replace(self, crashes=self.crashes + 1)
        return replace(self, lost=self.lost + 1) if failure in _LOST else self


# decisions


@dataclass(frozen=True)
class Retry:
    """The trial waits, and goes on from its last checkpoint."""


@dataclass(frozen=True)
class RetrySmaller:
    """The trial waits, and begins anew with these settings."""

    batch_size: int
    accumulate: int


@dataclass(frozen=True)
class End:
    """The trial has ended.

    Attributes:
        state: what it is from now on.
        note: what the rule adds to the reason the worker gave, e.g. ``3 times in a row without a finished epoch``.
    """

    state: Literal["failed", "infeasible"]
    note: str | None = None


Decision = Retry | RetrySmaller | End


def decide(failure: Failure, history: History, batch_size: int, accumulate: int) -> Decision:
    """The rule for a failure.

    Args:
        failure: how the attempt ended.
        history: of the trial, this attempt's end included.
        batch_size, accumulate: the settings it ran with.
    """
    if failure == "out_of_memory":
        if history.shrunk:
            return End("infeasible", "with half the batch as well")
        if batch_size <= 1:
            return End("infeasible", "with one image a batch")
        return RetrySmaller(*halved(batch_size, accumulate))
    if failure in _FINAL:
        return End("failed")
    if history.crashes >= MAX_CRASHES:
        return End("failed", f"{history.crashes} times in a row without a finished epoch")
    if history.lost >= MAX_LOST:
        return End("failed", f"{history.lost} times in a row without a finished epoch")
    return Retry()


def resumable(failure: str | None) -> bool:
    """Whether a trial that failed so would go on from its last checkpoint if somebody had it tried again.

    After a NaN loss it would fail there again. Without a failure it was trained to its end, and begins anew.
    """
    return failure not in (None, "nan_loss", "out_of_memory")


def halved(batch_size: int, accumulate: int) -> tuple[int, int]:
    """Half the batch (rounded down) and twice the accumulation, so that the learning rate means what it meant.

    An odd batch takes the accumulation that keeps the images an update nearest to what they were: 3 x 1 is 1 x 3.
    """
    half = batch_size // 2
    return half, max(2 * accumulate, round(batch_size * accumulate / half))


def replay(attempts: Iterable[tuple[str | None, bool]], shrunk: bool) -> History:
    """The history of a trial that has not ended, for a server that starts again.

    Args:
        attempts: of each, in order: how it ended (a failure, ``complete``, ...; None while it runs) and whether it
            finished an epoch.
        shrunk: whether the trial runs with a smaller batch now.
    """
    history = History()
    for end, finished_epoch in attempts:
        if finished_epoch:
            history = history.after_epoch()
        if end == "crashed" or end in _LOST:
            history = history.after(end)
            if history.crashes >= MAX_CRASHES or history.lost >= MAX_LOST:  # it ended, and was tried again
                history = History()
        elif end not in (None, "stopped"):  # it began anew, or ended and was tried again
            history = History()
    return replace(history, shrunk=shrunk)


def all_alike(ends: Sequence[str | None]) -> str | None:
    """The failure that every one of a study's first trials ended with, once so many have; else None.

    Args:
        ends: how its trials ended, in order; None for one that is complete or pruned.
    """
    first = set(ends[:SAME_FAILURES])
    return first.pop() if len(ends) == SAME_FAILURES and len(first) == 1 else None
