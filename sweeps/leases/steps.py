"""The lease machine at work: what it says is done to study and store. One lock, no HTTP."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from results.database.outage import AwayError, waiting_at_most
from runner.protocol import LEASE_SECONDS, Result
from sweeps.leases import events, recovery
from sweeps.leases import machine as leases
from sweeps.leases.failures import SAME_FAILURES, all_alike
from sweeps.leases.progress import Board
from sweeps.leases.turn import FairLock
from sweeps.study.study import Study

LOST = Result(outcome="failed", failure="lost_worker", reason="its worker was lost")
ENDED = Result(outcome="failed", failure="stopped", reason="the workers have ended")
_WAIT_SECONDS = 5.0  # for the database; far less than a worker waits for the server (`runner.worker.attempt`)
_HOPELESS_SECONDS = 10.0


class RefusedError(Exception):
    """The worker's lease is not, or no longer, valid; the message says why."""


class Steps:
    """Base of the coordinator: one study, its lease machine, and what is kept in step with it.

    Args:
        study: owner of the trials.
        announce: takes one line for each thing worth telling.
        clock: seconds, monotonic.

    Attributes:
        paused: why nothing new begins, None while trials begin.
        tripped: whether it paused by itself, since all its first trials failed alike.
    """

    def __init__(self, study: Study, announce: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.study, self.name, self._clock = study, study.record.name, clock
        self._lock = FairLock()
        self._in_vain = -math.inf  # when somebody last waited for the database so
        self._board = Board(study.record.objective, announce)
        self._status: dict[str, Any] | None = None  # made anew when somebody looks
        self.paused = (study.record.reason or "by a user") if study.record.state == "paused" else None
        self._ends = recovery.ends(study)
        self.tripped = False
        rows = recovery.kept(study)
        at = clock() if any(row.worker for row in rows) else 0.0
        self._leases = leases.restore(LEASE_SECONDS, rows, at)

    def pause(self, reason: str = "by a user") -> None:
        """Nothing new begins; what runs goes on to its end."""
        with self._turn():
            self.study.set_state("paused", reason)
            self.paused, self._status = reason, None

    def resume(self) -> None:
        """Trials begin again; one that was not paused stays as it is, finished for instance."""
        with self._turn():
            if self.paused:
                self.study.set_state("running")
            self.paused, self.tripped, self._status = None, False, None
            self._ends = []  # whoever goes on has looked at them

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """The study's lock, behind which heartbeats wait: whoever has it waits for the database but shortly.

        After somebody waited in vain, nobody waits for a while. Workers ask again.
        """
        with self._lock:
            hopeless = time.monotonic() < self._in_vain + _HOPELESS_SECONDS
            try:
                with waiting_at_most(0.0 if hopeless else _WAIT_SECONDS):
                    yield
            except AwayError:
                if not hopeless:
                    self._in_vain = time.monotonic()
                raise

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What could not be stored (a full disk) has not happened: said again, it is taken again."""
        before = self._leases
        try:
            yield
        except BaseException:
            self._leases = before
            raise

    def _apply(self, event: events.Event, result: Result | None = None) -> events.Action:
        """Steps the machine, does what it says, returns the last action. Raises RefusedError.

        Args:
            event: what happened.
            result: what is known about the attempt that it ends.
        """
        self._leases, actions = self._leases.step(event)
        if actions != (events.Accept(),):
            self._status = None  # made anew when somebody looks
        for action in actions:
            self._do(action, result or LOST)
        return actions[-1] if actions else events.Accept()

    def _do(self, action: events.Action, result: Result) -> None:
        reason = result.reason or "no reason given"
        match action:
            case events.Refuse():
                raise RefusedError(action.reason)
            case events.Requeue(trial, failure):
                if failure:
                    self.study.release(trial, failure, reason)
                self._board.waits(trial, f"handed back: {reason}" if failure else "is tried again")
            case events.Restart(trial, failure, batch_size, accumulate):
                self.study.release(trial, failure, reason)
                self.study.restart(trial, batch_size, accumulate)
                smaller = f"batch_size {batch_size} and accumulate {accumulate}"
                self._board.waits(trial, f"begins anew with {smaller}: {reason}")
            case events.Close(trial, cancelled):
                self._close(trial, result, recovery.CANCELLED if cancelled else None)
            case events.GiveUp(trial, failure, state, note):
                said = f"{reason}, {note}" if note else reason
                ended = {"outcome": state, "failure": failure, "reason": said}
                self._close(trial, result.model_copy(update=ended), failure)

    def _close(self, trial: int, result: Result, failure: str | None) -> None:
        self.study.finish(trial, result, failure)
        row = self.study.row(trial)
        self._board.ended(row)
        if failure == recovery.CANCELLED:
            return
        self._ends.append(result.failure)
        if alike := all_alike(self._ends):
            self.tripped = True
            self.pause(f"the first {SAME_FAILURES} trials all ended alike ({alike}), the last one: {row.reason}")
