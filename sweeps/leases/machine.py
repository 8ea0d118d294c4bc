"""Who trains which trial: a pure state machine. Events in, actions out; no clock, no I/O.

A trial is waiting (anyone may lease it), leased (one worker, under a fencing number, until a moment) or ended.
Every lease of a trial has a higher fencing number than the last, so whatever an earlier holder still says is
recognised and refused. Time comes with the events, in seconds of any monotonic clock.

An event costs as much as there are open trials, which are about as many as workers: an ended trial is one bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from sweeps.leases.events import (
    Accept,
    Action,
    Added,
    Cancelled,
    Close,
    Event,
    Finished,
    GiveUp,
    Grant,
    HandedBack,
    LeaseWanted,
    NothingWaits,
    Passed,
    Record,
    Refuse,
    Renewed,
    Reported,
    Requeue,
    Restart,
    Retried,
)
from sweeps.leases.failures import Decision, End, History, Retry, RetrySmaller, decide

_Step = tuple["Leases", tuple[Action, ...]]


@dataclass(frozen=True)
class OpenTrial:
    """One trial that has not ended.

    Attributes:
        fence: number of its last lease, 0 before the first.
        worker: the holder, None while it waits.
        until: when the lease ends.
        epoch: last epoch recorded.
        history: what the rules for failures look at.
    """

    fence: int = 0
    worker: str | None = None
    until: float = 0.0
    epoch: int = 0
    history: History = field(default_factory=History)


@dataclass(frozen=True)
class Leases:
    """All trials of a study.

    Attributes:
        lease_seconds: how long a lease lasts that is not renewed.
        trials: trials that have not ended, by number.
        ended: bit n is set when trial n has ended.
    """

    lease_seconds: float
    trials: Mapping[int, OpenTrial] = field(default_factory=dict)
    ended: int = 0

    def step(self, event: Event) -> _Step:
        """The state after `event`, and what the owner must do, in that order."""
        match event:
            case Added(trial):
                return (self, ()) if self._knows(trial) else (self._with(trial, OpenTrial()), ())
            case LeaseWanted(worker, at, only):
                return self._lease(worker, at, only)
            case Passed(at):
                return self._lost(trial for trial, held in self.trials.items() if held.worker and held.until <= at)
            case Cancelled(trial):
                refusal = self._refusal(trial)
                return (self, (refusal,)) if refusal else (self._end(trial), (Close(trial, cancelled=True),))
            case Retried(trial, fence, epoch, shrunk):
                if not self.has_ended(trial):
                    return self, (Refuse(f"trial {trial} has not ended" if trial in self.trials else _unknown(trial)),)
                again = replace(self, ended=self.ended & ~(1 << trial))
                return again._with(trial, OpenTrial(fence=fence, epoch=epoch, history=History(shrunk=shrunk))), (
                    Requeue(trial, None),
                )
            case Renewed() | Reported() | Finished() | HandedBack():
                return self._from_holder(event)

    def running(self) -> dict[int, str]:
        """Leased trials and who holds them."""
        return {trial: held.worker for trial, held in self.trials.items() if held.worker}

    def unfinished(self) -> list[int]:
        """Trials that have not ended."""
        return list(self.trials)

    def has_ended(self, trial: int) -> bool:
        """Whether a trial has ended."""
        return trial >= 0 and bool(self.ended >> trial & 1)

    def _knows(self, trial: int) -> bool:
        return trial in self.trials or self.has_ended(trial)

    def _with(self, trial: int, held: OpenTrial) -> Leases:
        return replace(self, trials={**self.trials, trial: held})

    def _end(self, trial: int) -> Leases:
        trials = {number: held for number, held in self.trials.items() if number != trial}
        return replace(self, trials=trials, ended=self.ended | 1 << trial)

    def _lost(self, trials: Iterable[int]) -> _Step:
        state, actions = self, []
        for trial in sorted(trials):
            state, action = state._failed(trial, HandedBack(trial, state.trials[trial].fence, "lost_worker"))
            actions.append(action)
        return state, tuple(actions)

    def _lease(self, worker: str, at: float, only: Set[int] | None) -> _Step:
        state, freed = self._lost(
            t for t, s in self.trials.items() if s.worker and (s.worker == worker or s.until <= at)
        )
        waiting = (number for number, held in state.trials.items() if held.worker is None)
        trial = min((number for number in waiting if only is None or number in only), default=None)
        if trial is None:
            return state, (*freed, NothingWaits())
        held = state.trials[trial]
        held = replace(held, worker=worker, fence=held.fence + 1, until=at + self.lease_seconds)
        return state._with(trial, held), (*freed, Grant(trial, worker, held.fence))

    def _from_holder(self, event: Renewed | Reported | Finished | HandedBack) -> _Step:
        trial = event.trial
        refusal = self._refusal(trial, event.fence)
        if refusal:
            return self, (refusal,)
        held = self.trials[trial]
        match event:
            case Renewed(at=at):
                return self._with(trial, replace(held, until=at + self.lease_seconds)), (Accept(),)
            case Reported(epoch=epoch, at=at):
                held = replace(held, until=at + self.lease_seconds)
                if epoch <= held.epoch:  # told again after a resume
                    return self._with(trial, held), (Accept(),)
                held = replace(held, epoch=epoch, history=held.history.after_epoch())
                return self._with(trial, held), (Record(trial, epoch),)
            case Finished():
                return self._end(trial), (Close(trial),)
            case HandedBack():
                state, action = self._failed(trial, event)
                return state, (action,)

    def _refusal(self, trial: int, fence: int | None = None) -> Refuse | None:
        """Why a trial can't be spoken for (under a fencing number), None if it can."""
        if trial not in self.trials:
            return Refuse(f"trial {trial} has ended" if self.has_ended(trial) else _unknown(trial))
        held = self.trials[trial]
        if fence is not None and (held.worker is None or held.fence != fence):
            return Refuse(f"trial {trial} is no longer leased under number {fence}")
        return None

    def _failed(self, trial: int, event: HandedBack) -> tuple[Leases, Action]:
        """What the rule for a failure makes of a leased trial."""
        held = self.trials[trial]
        history = held.history.after(event.failure)
        decision: Decision = decide(event.failure, history, event.batch_size, event.accumulate)
        match decision:
            case End(state, note):
                return self._end(trial), GiveUp(trial, event.failure, state, note)
            case RetrySmaller(batch_size, accumulate):
                anew = OpenTrial(fence=held.fence, history=History(shrunk=True))
                return self._with(trial, anew), Restart(trial, event.failure, batch_size, accumulate)
            case Retry():
                return self._with(trial, replace(held, worker=None, history=history)), Requeue(trial, event.failure)


@dataclass(frozen=True)
class Kept:
    """What the store knows of a trial.

    Attributes:
        fence: of its latest lease.
        epoch: last epoch recorded.
        ended: whether nothing is left to do.
        worker: who has it, None if nobody, or if he has ended with the process that owned the study.
        history: what the rules for failures look at.
    """

    trial: int
    fence: int
    epoch: int = 0
    ended: bool = False
    worker: str | None = None
    history: History = field(default_factory=History)


def restore(lease_seconds: float, rows: Iterable[Kept], at: float = 0.0) -> Leases:
    """The state after a restart at the moment `at`; a lease that is kept lasts its full time from then."""
    trials, ended = {}, 0
    for row in rows:
        if row.ended:
            ended |= 1 << row.trial
        else:
            until = at + lease_seconds if row.worker else 0.0
            trials[row.trial] = OpenTrial(row.fence, row.worker, until, row.epoch, row.history)
    return Leases(lease_seconds, trials, ended)


def _unknown(trial: int) -> str:
    return f"there is no trial {trial}"
