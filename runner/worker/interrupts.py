"""Signals that end a worker, as exceptions where they may break in."""

from __future__ import annotations

import signal

from runner.protocol import Failure

STOP = signal.SIGUSR1  # from the pool: somebody ended the run
LEAVE = signal.SIGUSR2  # from the pool: end after this trial
_CAUSES: dict[int, tuple[Failure, str]] = {
    STOP: ("stopped", "the worker was stopped"),
    signal.SIGINT: ("stopped", "the worker was stopped"),
    signal.SIGTERM: ("preempted", "the machine was taken away (SIGTERM)"),
}


class Stopped(BaseException):
    """A signal ends the worker: `cause` and `reason` for the server."""

    def __init__(self, cause: Failure, reason: str) -> None:
        super().__init__(reason)
        self.cause, self.reason = cause, reason


class Interrupts:
    """Raises Stopped where a signal arrives, or, while they are held, as soon as they are let go.

    Attributes:
        leaving: whether the worker should end after its present trial.
    """

    def __init__(self) -> None:
        self._pending: Stopped | None = None
        self._held = self._raised = False
        self.leaving = False

    def install(self) -> None:
        """Takes the signals of this process; to be called from its main thread."""
        for number in _CAUSES:
            signal.signal(number, self._take)
        signal.signal(LEAVE, self._leave)

    def hold(self) -> None:
        """Puts signals off: what happens now must be known to its end."""
        self._held = True

    def release(self) -> None:
        """Lets them in again.

        Raises:
            Stopped: one came meanwhile.
        """
        self._held = False
        if self._pending and not self._raised:
            self._raised = True
            raise self._pending

    def _take(self, number: int, _: object) -> None:
        if self._pending is None:  # a second one must not break the hand-back that the first one caused
            self._pending = Stopped(*_CAUSES[number])
            if not self._held:
                self._raised = True
                raise self._pending

    def _leave(self, *_: object) -> None:
        self.leaving = True
