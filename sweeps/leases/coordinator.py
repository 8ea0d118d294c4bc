"""What the study server does with a message: leases decide, study and store follow. One lock, no HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from results.records import HeldRecord, ImportRecord, StudyRecord
from runner.protocol import LEASE_SECONDS, EpochReport, Failure, LeaseReply, LeaseRequest, Needs, Result, Verdict
from sweeps.leases import events
from sweeps.leases.progress import Progress
from sweeps.leases.status import document
from sweeps.leases.steps import ENDED, RefusedError, Steps
from sweeps.space.schema import SearchSpace
from sweeps.study.study import Study

__all__ = ["Coordinator", "Progress", "RefusedError"]


class Coordinator(Steps):
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
        looks: how many scores on images held out came since this process began.
    """

    def __init__(
        self,
        study: Study,
        announce: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(study, announce, clock)
        self.needs = Needs(study=self.name, data=study.data, plugins=study.space.plugins)
        self._stopping, self.looks = False, 0
        # that work here now, or wait for a trial: the last request of each, and when it said anything last
        self._workers: dict[str, tuple[LeaseRequest, float]] = {}
        self.progress = self._board.running

    def lease(self, request: LeaseRequest) -> LeaseReply:
        """A trial for a worker with a free slot, a new one if none waits."""
        with self._turn():
            self._workers[request.worker], self._status = (request, self._clock()), None
            if self._stopping:
                return LeaseReply()
            if self.paused:
                return LeaseReply(wait=True)
            while True:
                with self._all_or_nothing():
                    grant = self._apply(events.LeaseWanted(request.worker, self._clock(), self.study.only))
                if isinstance(grant, events.Grant):
                    return self._granted(grant, request)
                number = self.study.ask()
                if number is None:
                    # a running trial may come back: its worker may die
                    return LeaseReply(wait=bool(self._unfinished()))
                self._apply(events.Added(number))

    def heartbeat(self, trial: int, fence: int) -> Verdict:
        """Renews a lease. Raises RefusedError."""
        with self._turn():
            self._apply(events.Renewed(trial, fence, self._clock()))
            self._hear(trial)
            return Verdict()

    def report(self, trial: int, fence: int, report: EpochReport) -> Verdict:
        """Takes one validation. Raises RefusedError."""
        with self._turn(), self._all_or_nothing():
            action = self._apply(events.Reported(trial, fence, report.epoch, self._clock()))
            self._hear(trial)
            if not isinstance(action, events.Record):
                return Verdict()
            prune = self.study.report(trial, report)
            self._board.epoch(trial, report)
            return Verdict(action="prune" if prune else "go_on")

    def finish(self, trial: int, fence: int, result: Result) -> None:
        """Takes a trial's end, or that of an attempt whose failure has another rule. Raises RefusedError."""
        with self._turn(), self._all_or_nothing():
            if result.failure:
                self._apply(events.HandedBack(trial, fence, result.failure, *self.study.batch(trial)), result)
            else:
                self._apply(events.Finished(trial, fence), result)

    def hand_back(self, trial: int, fence: int, reason: str, cause: Failure) -> None:
        """Takes a trial back unfinished. Raises RefusedError."""
        self.finish(trial, fence, Result(outcome="failed", failure=cause, reason=reason))

    def left(self, worker: str) -> None:
        """Takes back what a worker still holds: it asks for a trial, so it trains none."""
        with self._turn(), self._all_or_nothing():
            for trial, holder in self._leases.running().items():
                if holder == worker:
                    self._apply(events.HandedBack(trial, self._leases.trials[trial].fence, "lost_worker"))

    def cancel(self, trial: int) -> None:
        """Ends a trial that waits or runs; its worker is told at its next word. Raises RefusedError."""
        with self._turn(), self._all_or_nothing():
            self._apply(events.Cancelled(trial), Result(outcome="failed", reason="cancelled by a user"))

    def retry(self, trial: int) -> None:
        """Lets a trial that has ended without a score wait again. Raises RefusedError."""
        with self._turn(), self._all_or_nothing():
            if not self._leases.has_ended(trial):
                self._apply(events.Retried(trial, 0, 0))  # refuses
            row = self.study.row(trial)
            if row.state == "complete":
                raise RefusedError(f"trial {trial} is complete: there is nothing to try again")
            self.study.retry(trial)
            last = max((epoch.epoch for epoch in self.study.store.epochs(self.name, trial)), default=0)
            self._apply(events.Retried(trial, row.fence, last, bool(self.study.row(trial).adjusted)))

    def may_lease(self) -> bool:
        """Whether a worker that asks now may get a trial."""
        with self._turn():
            if self._stopping or self.paused:
                return False
            running = self._leases.running()
            return any(trial not in running for trial in self._unfinished()) or self.study.more_to_try()

    def running(self) -> list[Progress]:
        """Running trials and who holds them."""
        with self._turn():
            return list(self.progress.values())

    def go_on(self, space: SearchSpace, record: StudyRecord) -> None:
        """Goes on with another budget, sampler or pruner."""
        with self._turn():
            self.study.change(space, record)
            self.resume()

    def take_imports(self, rows: Sequence[ImportRecord]) -> int:
        """Keeps results from elsewhere; the sampler learns from them at once. How many are new."""
        with self._turn():
            return self.study.take_imports(rows)

    def confirm(self, top: int, seeds: int, only: Sequence[str] = ()) -> None:
        """Orders further seeds (`Study.confirm`); the search goes on after them. Raises RefusedError."""
        with self._turn():
            known = self.study.kept_order() if self.study.ordered else None
            if known and (known.top, known.seeds, known.only) != (top, seeds, tuple(only)):
                what = f"top {known.top}, seeds {known.seeds}" + "".join(f", {name}" for name in known.only)
                raise RefusedError(f"study {self.name} is being confirmed already ({what}); wait until that has ended")
            self._status = None
            self.study.confirm(top, seeds, only, search_on=True)

    def keep_holdout(self, trial: int, held: HeldRecord) -> None:
        """Keeps what a complete trial scores on the images held out; the first one counts. Raises RefusedError."""
        with self._turn():
            row = self.study.store.trial(self.name, trial)
            if row is None or row.state != "complete":
                raise RefusedError(f"trial {trial} is not complete, so it has no score on images held out")
            self.study.store.add_holdout(self.name, trial, held)
            self.looks += 1

    def take_back(self) -> None:
        """Takes every lease back: the workers have ended, politely or not."""
        with self._lock, self._all_or_nothing():
            for trial in self._leases.running():
                self._apply(events.HandedBack(trial, self._leases.trials[trial].fence, "stopped"), ENDED)

    def tick(self) -> None:
        """Takes back what was not renewed, and forgets who is silent; to be called about once a second."""
        with self._turn(), self._all_or_nothing():
            now = self._clock()
            self._apply(events.Passed(now))
            for worker in [one for one, (_, at) in self._workers.items() if at + LEASE_SECONDS <= now]:
                del self._workers[worker]
                self._status = None

    def stop(self) -> None:
        """No more leases; running trials may still report."""
        with self._turn():
            self._stopping, self._status = True, None

    def record(self) -> StudyRecord:
        """The study as the store has it."""
        found = self.study.store.study(self.name)
        assert found
        return found

    def finished(self) -> bool:
        """Whether the budget is spent, or the space tried out, and nothing runs or waits."""
        with self._turn():
            return not self._unfinished() and not self.study.more_to_try()

    def status(self) -> dict[str, Any]:
        """The document of ``sweep status --format json``."""
        with self._turn():
            self._status = self._status or self._current_status()
            return self._status

    def _hear(self, trial: int) -> None:
        """Notes that the holder of a trial has just spoken."""
        holder = self._leases.running().get(trial)
        if holder in self._workers:
            request, _ = self._workers[holder]
            self._workers[holder] = request, self._clock()

    def _unfinished(self) -> list[int]:
        """Trials that have not ended and may be trained now."""
        only = self.study.only
        return [trial for trial in self._leases.unfinished() if only is None or trial in only]

    def _current_status(self) -> dict[str, Any]:
        by_worker = {worker: trial for trial, worker in self._leases.running().items()}
        workers = [
            {"worker": name, "owner": w.owner, "device": w.device, "trial": by_worker.get(name)}
            for name, (w, _) in self._workers.items()
        ]
        state = self._state()
        left = self.study.trials_left()
        waiting = None if left is None else left + len(self._unfinished())
        ends = state == "finished" or (state == "running" and self.study.ordered)
        reason = self.study.end() if ends else self.paused
        return document(self.study.store, self.study.record, state, workers, waiting, reason)

    def _state(self) -> str:
        if self.finished():
            return "finished"
        return "stopped" if self._stopping else "paused" if self.paused else "running"

    def _granted(self, grant: events.Grant, request: LeaseRequest) -> LeaseReply:
        lease = self.study.lease(grant.trial, grant.fence, request.worker, request.owner, request.device)
        self._board.leased(lease, request.worker)
        return LeaseReply(lease=lease)
