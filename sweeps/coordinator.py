"""What the study server does with a message: leases decide, study and store follow. One lock, no HTTP."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from results.records import StudyRecord
from runner.protocol import LEASE_SECONDS, Cause, EpochReport, LeaseReply, LeaseRequest, Needs, Result, Verdict
from sweeps import leases
from sweeps.status import document
from sweeps.study import Study


class RefusedError(Exception):
    """The worker's lease is not, or no longer, valid; the message says why."""


@dataclass
class Progress:
    """Where a running trial stands, for people who watch.

    Attributes:
        epoch: validated so far, of `epochs`.
        score: the latest, None before the first.
    """

    trial: int
    worker: str
    epoch: int
    epochs: int
    score: float | None
    what: str
    since: float = field(default_factory=time.time)


class Coordinator:
    """Serves workers of one study.

    Args:
        study: owner of the trials.
        announce: takes one line for each thing worth telling (a validation, an end, a return).
        clock: seconds, monotonic.

    Attributes:
        study: owner of the trials.
        name: of the study.
        needs: what a worker must have before it may take trials.
        progress: running trials.
        fault: what is wrong with a worker's machine (a full disk), in one line.
    """

    def __init__(
        self,
        study: Study,
        announce: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self._announce, self._clock = study, announce, clock
        self.name = study.record.name
        self.needs = Needs(study=self.name, data=study.data, plugins=study.space.plugins)
        self._lock = threading.RLock()
        self._stopping = False
        self._paused = study.record.state == "paused"
        self._workers: dict[str, LeaseRequest] = {}
        self.progress: dict[int, Progress] = {}
        self.fault: str | None = None
        self._status: dict[str, Any] | None = None
        self._leases = leases.restore(
            LEASE_SECONDS,
            [
                (row.number, row.fence, 0 if row.finished_at else _last_epoch(study, row.number), bool(row.finished_at))
                for row in study.store.trials(study.record.name)
            ],
        )

    def lease(self, request: LeaseRequest) -> LeaseReply:
        """A trial for a worker with a free slot, a new one if none waits."""
        with self._lock:
            self._workers[request.worker], self._status = request, None
            if self._stopping:
                return LeaseReply()
            if self._paused:
                return LeaseReply(wait=True)
            while True:
                grant = self._apply(leases.LeaseWanted(request.worker, self._clock()))
                if isinstance(grant, leases.Grant):
                    return self._granted(grant, request)
                number = self.study.ask()
                if number is None:
                    # a running trial may come back: its worker may die
                    return LeaseReply(wait=bool(self._leases.unfinished()))
                self._apply(leases.Added(number))

    def heartbeat(self, trial: int, fence: int) -> Verdict:
        """Renews a lease. Raises RefusedError."""
        with self._lock:
            self._apply(leases.Renewed(trial, fence, self._clock()))
            return Verdict()

    def report(self, trial: int, fence: int, report: EpochReport) -> Verdict:
        """Takes one validation. Raises RefusedError."""
        with self._lock, self._all_or_nothing():
            action = self._apply(leases.Reported(trial, fence, report.epoch, self._clock()))
            if not isinstance(action, leases.Record):
                return Verdict()
            prune = self.study.report(trial, report)
            self._tell_epoch(trial, report)
            return Verdict(action="prune" if prune else "go_on")

    def finish(self, trial: int, fence: int, result: Result) -> None:
        """Takes a trial's end. Raises RefusedError."""
        with self._lock, self._all_or_nothing():
            self._apply(leases.Finished(trial, fence))
            self._close(trial, result)

    def hand_back(self, trial: int, fence: int, reason: str, cause: Cause) -> None:
        """Takes a trial back unfinished. Raises RefusedError."""
        with self._lock, self._all_or_nothing():
            action = self._apply(leases.HandedBack(trial, fence, cause == "crashed"))
            if cause == "node_fault":
                self.fault = reason
            if isinstance(action, leases.GiveUp):
                times = f"{action.crashes} times in a row without a finished epoch"
                self._close(trial, Result(outcome="failed", reason=f"{reason}, {times}"))
            else:
                self._announce(f"trial {trial} handed back: {reason}")

    def left(self, worker: str) -> None:
        """Takes back what a worker still holds: it asks for a trial, so it trains none."""
        with self._lock:
            for trial, holder in self._leases.running().items():
                if holder == worker:
                    self._apply(leases.HandedBack(trial, self._leases.seats[trial].fence, crashed=False))

    def may_lease(self) -> bool:
        """Whether a worker that asks now may get a trial."""
        with self._lock:
            if self._stopping or self._paused:
                return False
            unfinished = self._leases.unfinished()
            return len(unfinished) > len(self._leases.running()) or self.study.more_to_try()

    def seats(self) -> list[Progress]:
        """Running trials and who holds them."""
        with self._lock:
            return list(self.progress.values())

    def pause(self) -> None:
        """Nothing new begins; what runs goes on to its end."""
        with self._lock:
            self._paused, self._status = True, None
            self.study.set_state("paused")

    def resume(self) -> None:
        """Trials begin again."""
        with self._lock:
            self._paused, self._status = False, None
            self.study.set_state("running")

    def take_back(self) -> None:
        """Takes every lease back: the workers have ended, politely or not."""
        with self._lock:
            self._apply(leases.Passed(math.inf))

    def tick(self) -> None:
        """Takes back what was not renewed; to be called about once a second."""
        with self._lock:
            self._apply(leases.Passed(self._clock()))

    def stop(self) -> None:
        """No more leases; running trials may still report."""
        with self._lock:
            self._stopping, self._status = True, None

    @property
    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stopping

    def record(self) -> StudyRecord:
        """The study as the store has it."""
        found = self.study.store.study(self.name)
        assert found
        return found

    def finished(self) -> bool:
        """Whether the budget is spent, or the space tried out, and nothing runs or waits."""
        with self._lock:
            return not self._leases.unfinished() and not self.study.more_to_try()

    def status(self) -> dict[str, Any]:
        """The document of ``sweep status --format json``."""
        with self._lock:
            self._status = self._status or self._current_status()
            return self._status

    def _current_status(self) -> dict[str, Any]:
        by_worker = {worker: trial for trial, worker in self._leases.running().items()}
        workers = [
            {"worker": name, "owner": w.owner, "device": w.device, "trial": by_worker.get(name)}
            for name, w in self._workers.items()
        ]
        state = self._state()
        left = self.study.trials_left()
        waiting = None if left is None else left + len(self._leases.unfinished())
        return document(self.study.store, self.study.record, state, workers, waiting)

    def _state(self) -> str:
        if self.finished():
            return "finished"
        return "stopped" if self._stopping else "paused" if self._paused else "running"

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What could not be stored (a full disk) has not happened: said again, it is taken again."""
        before = self._leases
        try:
            yield
        except BaseException:
            self._leases = before
            raise

    def _apply(self, event: leases.Event) -> leases.Action:
        """Steps the machine, carries out the requeues, returns the last action. Raises RefusedError."""
        self._leases, actions = self._leases.step(event)
        if actions != (leases.Accept(),):
            self._status = None  # made anew when somebody looks
        for action in actions:
            if isinstance(action, leases.Requeue):
                self.study.release(action.trial)
                self.progress.pop(action.trial, None)
            elif isinstance(action, leases.Refuse):
                raise RefusedError(action.reason)
        return actions[-1] if actions else leases.Accept()

    def _granted(self, grant: leases.Grant, request: LeaseRequest) -> LeaseReply:
        lease = self.study.lease(grant.trial, grant.fence, request.worker, request.owner, request.device)
        last = lease.reported[-1] if lease.reported else None
        score = last.metrics.get(self.study.record.objective) if last else None
        combination = lease.combination
        self.progress[grant.trial] = Progress(
            grant.trial, request.worker, last.epoch if last else 0, combination.settings["epochs"], score,
            f"{combination.model.name} {combination.backbone.name} {combination.optimizer.name}",
        )  # fmt: skip
        if last:
            self._announce(f"trial {grant.trial} goes on after epoch {last.epoch}")
        return LeaseReply(lease=lease)

    def _tell_epoch(self, trial: int, report: EpochReport) -> None:
        objective = self.study.record.objective
        score = report.metrics.get(objective)
        shown = "none" if score is None else f"{score:.4f}"
        if seat := self.progress.get(trial):
            seat.epoch, seat.score = report.epoch, score
            self._announce(f"trial {trial} epoch {report.epoch}/{seat.epochs} {objective} {shown}")

    def _close(self, trial: int, result: Result) -> None:
        self.study.finish(trial, result)
        self.progress.pop(trial, None)
        row = self.study.row(trial)
        if row.state == "complete":
            self._announce(f"trial {trial} complete {self.study.record.objective} {row.score:.10f}")
        else:
            self._announce(f"trial {trial} {row.state}: {row.reason}")


def _last_epoch(study: Study, trial: int) -> int:
    return max((e.epoch for e in study.store.epochs(study.record.name, trial)), default=0)
