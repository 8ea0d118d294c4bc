"""One lease of a trial: its trainer, and everything that passes between trainer and server."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import TypeVar

import httpx

from runner.errors import DISK
from runner.lifeline import stands
from runner.machine import Machine
from runner.paths import TrialPaths
from runner.protocol import Failure, Lease, Note, Result
from runner.wire.client import Client, LeaseLostError
from runner.wire.line import TROUBLE_SECONDS
from runner.worker.child import TRAINER, kill, trainer
from runner.worker.interrupts import Interrupts, Stopped
from runner.worker.memory import Memory
from runner.worker.oomkills import death, oom_kills
from runner.worker.staging import Staging

log = logging.getLogger("sweep.worker")
_POLL_SECONDS = 1.0
_LAST_BREATH = 5.0  # seconds between a trainer's last word and its end
_STOP_PATIENCE = 3.0  # whoever stops a worker waits for it
_SAME_BLOW = 0.2  # seconds: what killed the trainer may be about to end us as well
_T = TypeVar("_T")


class NodeFaultError(Exception):
    """This machine can train no trial until somebody mends it."""


@dataclass
class Ended:
    """How an attempt ended.

    Attributes:
        failure: None if well, or if the trial is somebody else's now.
        reason: more about it.
        epochs: reported.
        peak_memory_mb: of the trainer by its own account, None if it gave none.
    """

    failure: Failure | None = None
    reason: str | None = None
    epochs: int = 0
    peak_memory_mb: float | None = None


class Attempt:
    """Trains a leased trial in a child process.

    Args:
        client: of the study server.
        context: whose fork server has loaded torch.
        machine: threads and loader workers.
        lease: the trial, with the paths of this machine.
        interrupts: held when this is made; let in once the trial can be handed back.
        memory: on the slot's GPU, looked at while it trains.
        staging: brings what the trial goes on from, and sends what it leaves.
        module: whose ``main`` trains in the child.
    """

    def __init__(
        self,
        client: Client,
        context: BaseContext,
        machine: Machine,
        lease: Lease,
        interrupts: Interrupts,
        memory: Memory,
        staging: Staging,
        module: str = TRAINER,
    ) -> None:
        self.client, self.lease, self.interrupts, self.memory = client, lease, interrupts, memory
        self.staging = staging
        self.granted = time.monotonic()
        self.ended = Ended()
        self.link, self._theirs = context.Pipe()
        self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=trainer,
            args=(lease.model_dump_json(), machine, self._theirs, os.getpid(), module),
            name=f"trial-{lease.trial}",
        )
        self._kills = oom_kills()
        self._stood_still = self._over = False

    def run(self) -> Ended:
        """Accompanies the training to its end, or to the end of the lease.

        Raises:
            NodeFaultError: this machine can't train; the trial has been handed back.
            Stopped: a signal came; the trial has been handed back.
            UserError: the server refuses us.
        """
        lease = self.lease
        try:
            self.interrupts.release()
            renewed = self.staging.fetch(lease, self.granted)
            limit = self._limit()
            self.process.start()
            self._theirs.close()
            self._accompany(renewed, limit)
        except LeaseLostError as error:
            log.warning("trial %d: %s; its training ends here", lease.trial, error)
            self._over = True
        except httpx.TransportError as error:
            log.warning("trial %d: the study server has not served us for most of the lease: %s", lease.trial, error)
        except OSError as error:  # no room for a checkpoint that comes from the server, say
            if error.errno not in DISK:
                raise
            reason = f"{error.filename or lease.work_dir}: {(error.strerror or str(error)).lower()}"
            with contextlib.suppress(httpx.HTTPError, LeaseLostError):
                self._hand_back(reason, "node_fault", _STOP_PATIENCE)
            raise NodeFaultError(reason) from error
        except Stopped as stop:
            with contextlib.suppress(httpx.HTTPError, LeaseLostError):
                self._hand_back(stop.reason, stop.cause, _STOP_PATIENCE)
            raise
        finally:
            kill(self.process)
            self.link.close()
            self.staging.forget(lease, self._over)
        return self.ended

    def _limit(self) -> float | None:
        """Seconds that it may train; where no checkpoint is left, those of epochs that are trained anew count once."""
        lease = self.lease
        if lease.limit_seconds is None or TrialPaths.of(lease.work_dir, lease.study, lease.trial).last.is_file():
            return lease.limit_seconds
        return lease.limit_seconds + sum(epoch.seconds for epoch in lease.reported)

    def _accompany(self, renewed: float, limit: float | None) -> None:
        """Relays the trainer's notes and renews the lease until the trainer ends, or the limit is reached.

        Raises:
            LeaseLostError: somebody else has the trial now.
            httpx.TransportError: the server does not answer, and the lease is about to end.
            NodeFaultError: this machine can't train; the trial has been handed back.
        """
        lease = self.lease
        while True:
            now = time.monotonic()
            if limit is not None and now - self.granted > limit:
                self._time_out(renewed)
                return
            due = renewed + lease.heartbeat_seconds - now
            left = due if limit is None else min(due, self.granted + limit - now)
            ready = wait([self.link, self.process.sentinel], timeout=max(0.0, left))
            self.memory.look(self.process.pid)
            note = _receive(self.link)
            if note is not None:
                if self._relay(note, renewed):
                    return
                renewed = time.monotonic()
            elif ready:  # it has nothing more to say: it ends, or has ended
                self._died(renewed)
                return
            elif time.monotonic() >= renewed + lease.heartbeat_seconds:
                self._wake()
                renewed = self._renew(renewed)

    def _relay(self, note: Note, renewed: float) -> bool:
        """Passes a note on; True when the trial is over for this worker."""
        lease = self.lease
        if note.kind == "report" and note.report:
            renewed = self.staging.send_epoch(lease, renewed)
            report = note.report
            verdict = self._insist(lambda patience: self.client.report(lease, report, patience), renewed)
            self.ended.epochs += 1
            with contextlib.suppress(BrokenPipeError):
                self.link.send_bytes(verdict.model_dump_json().encode())
            return False
        if note.kind == "result" and note.result:
            self.ended.peak_memory_mb = note.result.peak_memory_mb
            self._finish(note.result, renewed)
            return True
        self._hand_back(note.reason or "node fault", "node_fault", self._last_words(renewed))
        raise NodeFaultError(note.reason)

    def _time_out(self, renewed: float) -> None:
        kill(self.process)
        reason = "it trained for longer than the space's budget.trial_hours"
        self._finish(Result(outcome="failed", failure="time_out", reason=reason), renewed)

    def _finish(self, result: Result, renewed: float) -> None:
        self._note(result.failure, result.reason)
        renewed = self.staging.send_rest(self.lease, renewed)
        self._insist(lambda patience: self.client.finish(self.lease, result, patience), renewed)
        self._over = True

    def _died(self, renewed: float) -> None:
        self.process.join(_LAST_BREATH)
        kill(self.process)
        time.sleep(_SAME_BLOW)
        failure, reason = death(self.process.exitcode, self._kills)
        self._note(failure, reason)
        self._hand_back(reason, failure, self._last_words(renewed))

    def _hand_back(self, reason: str, cause: Failure, patience: float) -> None:
        """Gives the trial back; before that, while nobody else has it, what would fill this disk goes."""
        kill(self.process)
        self.staging.forget(self.lease, over=False)
        self.client.hand_back(self.lease, reason, cause, patience)

    def _last_words(self, renewed: float) -> float:
        """Sends config and log; the seconds that are left to say how it ended."""
        return _patience(self.lease, self.staging.send_rest(self.lease, renewed))

    def _insist(self, say: Callable[[float], _T], renewed: float) -> _T:
        """Says something for so many seconds at a time, and renews the lease in between.

        A server whose database is away, or whose disk is full, cannot take it, but hears that the trial is still ours.
        """
        until = time.monotonic() + TROUBLE_SECONDS
        while True:
            try:
                return say(min(self.lease.heartbeat_seconds, _patience(self.lease, renewed)))
            except httpx.TransportError:
                if time.monotonic() >= until:
                    raise
                renewed = self._renew(renewed)

    def _note(self, failure: Failure | None, reason: str | None) -> None:
        self.ended.failure, self.ended.reason = failure, reason

    def _renew(self, renewed: float) -> float:
        """Sends a heartbeat; returns when the lease was last renewed."""
        try:
            self.client.heartbeat(self.lease)
        except httpx.TransportError:
            if _patience(self.lease, renewed) == 0:
                raise
            time.sleep(_POLL_SECONDS)
            return renewed
        return time.monotonic()

    def _wake(self) -> None:
        """A trainer that somebody stopped (SIGSTOP) and left so from one heartbeat to the next is sent on."""
        stands_still = stands(self.process.pid)
        if stands_still and self._stood_still and self.process.pid:
            log.warning("trial %d: its trainer was stopped by a signal; it goes on", self.lease.trial)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGCONT)
        self._stood_still = stands_still


def _patience(lease: Lease, renewed: float) -> float:
    """Seconds that are left to reach the server: what trains must end before the lease does."""
    return max(0.0, renewed + lease.patience - time.monotonic())


def _receive(link: Connection) -> Note | None:
    try:
        return Note.model_validate_json(link.recv_bytes()) if link.poll() else None
    except (EOFError, ConnectionResetError):
        return None
