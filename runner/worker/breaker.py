"""When a worker should stop, since it is probably its machine that is broken."""

from __future__ import annotations

from dataclasses import dataclass

from runner.protocol import Failure

FAILURES = 3
MINUTE = 60.0  # seconds
# What a broken machine looks like. A NaN loss is none: some learning rates are simply too high.
_SUSPECT = ("out_of_memory", "data_error", "code_error", "crashed")


@dataclass
class Breaker:
    """Counts the trials that failed in a worker's first minute of work.

    Attributes:
        began: when it got its first trial, in seconds of the clock that `ended` is told.
        failed: trials that failed since.
        proven: whether a trial came as far as a validation here.
    """

    began: float | None = None
    failed: int = 0
    proven: bool = False

    def begins(self, at: float) -> None:
        """A trial begins."""
        if self.began is None:
            self.began = at

    def ended(self, failure: Failure | None, epochs: int, at: float) -> bool:
        """A trial has ended here; whether the worker should stop.

        Args:
            failure: how, None if well.
            epochs: that it reported from here.
            at: when.
        """
        self.proven = self.proven or epochs > 0
        self.failed += failure in _SUSPECT
        early = self.began is not None and at - self.began <= MINUTE
        return early and not self.proven and self.failed >= FAILURES
