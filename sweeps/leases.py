"""Who trains which trial: a pure state machine. Events in, actions out; no clock, no I/O.

A trial is `waiting` (anyone may lease it), `leased` (one worker, under a fencing number, until a moment) or `done`.
Every lease of a trial has a higher fencing number than the last, so whatever an earlier holder still says is
recognised and refused. Time comes with the events, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

MAX_CRASHES = 3  # trainer deaths in a row without a finished epoch


# events


@dataclass(frozen=True)
class Added:
    """A new trial may be leased."""

    trial: int


@dataclass(frozen=True)
class LeaseWanted:
    """A worker asks for a trial. What it held before, it has lost: it would not ask otherwise."""

    worker: str
    at: float


@dataclass(frozen=True)
class Renewed:
    """A worker says that it still trains."""

    trial: int
    fence: int
    at: float


@dataclass(frozen=True)
class Reported:
    """A worker brings the figures of an epoch."""

    trial: int
    fence: int
    epoch: int
    at: float


@dataclass(frozen=True)
class Finished:
    """A worker says that the trial has ended."""

    trial: int
    fence: int


@dataclass(frozen=True)
class HandedBack:
    """A worker returns the trial unfinished; `crashed` if the trial's own training died."""

    trial: int
    fence: int
    crashed: bool


@dataclass(frozen=True)
class Passed:
    """Time has passed."""

    at: float


Event = Added | LeaseWanted | Renewed | Reported | Finished | HandedBack | Passed


# actions


@dataclass(frozen=True)
class Grant:
    """Hand the trial to the worker, under this fencing number."""

    trial: int
    worker: str
    fence: int


@dataclass(frozen=True)
class NothingWaits:
    """No trial waits; the owner may add one."""


@dataclass(frozen=True)
class Record:
    """Store the epoch's figures (new ones)."""

    trial: int
    epoch: int


@dataclass(frozen=True)
class Accept:
    """All is well, nothing to store."""


@dataclass(frozen=True)
class Requeue:
    """The trial waits again; it goes on from its last checkpoint."""

    trial: int


@dataclass(frozen=True)
class Close:
    """Store the trial's end."""

    trial: int


@dataclass(frozen=True)
class GiveUp:
    """The training dies each time: store the trial as failed."""

    trial: int
    crashes: int


@dataclass(frozen=True)
class Refuse:
    """Tell the worker that the trial is not its own."""

    reason: str


Action = Grant | NothingWaits | Record | Accept | Requeue | Close | GiveUp | Refuse


# state


@dataclass(frozen=True)
class Seat:
    """One trial.

    Attributes:
        fence: number of its last lease, 0 before the first.
        worker: the holder, None while it waits.
        until: when the lease ends.
        epoch: last epoch recorded.
        crashes: trainer deaths since then.
        done: it has ended; nothing changes any more.
    """

    fence: int = 0
    worker: str | None = None
    until: float = 0.0
    epoch: int = 0
    crashes: int = 0
    done: bool = False


@dataclass(frozen=True)
class Leases:
    """All trials of a study, by number."""

    lease_seconds: float
    seats: Mapping[int, Seat] = field(default_factory=dict)

    def step(self, event: Event) -> tuple[Leases, tuple[Action, ...]]:
        """The state after `event`, and what the owner must do, in that order."""
        match event:
            case Added(trial):
                if trial in self.seats:
                    return self, ()
                return self._with(trial, Seat()), ()
            case LeaseWanted(worker, at):
                return self._lease(worker, at)
            case Passed(at):
                return self._requeue(t for t, s in self.seats.items() if s.worker and s.until <= at)
            case Renewed() | Reported() | Finished() | HandedBack():
                return self._from_holder(event)

    def running(self) -> dict[int, str]:
        """Leased trials and who holds them."""
        return {trial: seat.worker for trial, seat in self.seats.items() if seat.worker}

    def unfinished(self) -> list[int]:
        """Trials that have not ended."""
        return [trial for trial, seat in self.seats.items() if not seat.done]

    def _with(self, trial: int, seat: Seat) -> Leases:
        return replace(self, seats={**self.seats, trial: seat})

    def _requeue(self, trials: Iterable[int]) -> tuple[Leases, tuple[Action, ...]]:
        lost = sorted(trials)
        seats = dict(self.seats)
        for trial in lost:
            seats[trial] = replace(seats[trial], worker=None)
        return replace(self, seats=seats), tuple(Requeue(trial) for trial in lost)

    def _lease(self, worker: str, at: float) -> tuple[Leases, tuple[Action, ...]]:
        state, freed = self._requeue(
            t for t, s in self.seats.items() if s.worker and (s.worker == worker or s.until <= at)
        )
        waiting = [trial for trial, seat in state.seats.items() if not seat.done and seat.worker is None]
        if not waiting:
            return state, (*freed, NothingWaits())
        trial = min(waiting)
        seat = state.seats[trial]
        seat = replace(seat, worker=worker, fence=seat.fence + 1, until=at + self.lease_seconds)
        return state._with(trial, seat), (*freed, Grant(trial, worker, seat.fence))

    def _from_holder(self, event: Renewed | Reported | Finished | HandedBack) -> tuple[Leases, tuple[Action, ...]]:
        trial = event.trial
        seat = self.seats.get(trial)
        if seat is None:
            return self, (Refuse(f"there is no trial {trial}"),)
        if seat.done:
            return self, (Refuse(f"trial {trial} has ended"),)
        if seat.worker is None or seat.fence != event.fence:
            return self, (Refuse(f"trial {trial} is no longer leased under number {event.fence}"),)
        match event:
            case Renewed(at=at):
                return self._with(trial, replace(seat, until=at + self.lease_seconds)), (Accept(),)
            case Reported(epoch=epoch, at=at):
                seat = replace(seat, until=at + self.lease_seconds)
                if epoch <= seat.epoch:  # told again after a resume
                    return self._with(trial, seat), (Accept(),)
                return self._with(trial, replace(seat, epoch=epoch, crashes=0)), (Record(trial, epoch),)
            case Finished():
                return self._with(trial, replace(seat, worker=None, done=True)), (Close(trial),)
            case HandedBack(crashed=crashed):
                crashes = seat.crashes + crashed
                if crashes >= MAX_CRASHES:
                    ended = replace(seat, worker=None, done=True, crashes=crashes)
                    return self._with(trial, ended), (GiveUp(trial, crashes),)
                return self._with(trial, replace(seat, worker=None, crashes=crashes)), (Requeue(trial),)


def restore(lease_seconds: float, rows: Iterable[tuple[int, int, int, bool]]) -> Leases:
    """The state after a restart, from the store: (trial, last fence, last epoch, ended) rows.

    Leases are not restored: their workers have ended with the process that owned the study, and would be refused
    by their fencing number if they had not.
    """
    return Leases(lease_seconds, {n: Seat(fence=f, epoch=e, done=d) for n, f, e, d in rows})
