"""What can happen to the trials of a study (events), and what their owner must then do (actions)."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

from runner.protocol import Failure

# events


@dataclass(frozen=True)
class Added:
    """A new trial may be leased."""

    trial: int


@dataclass(frozen=True)
class LeaseWanted:
    """A worker asks for a trial, one of `only` if that says anything.

    What it held before, it has lost: it would not ask otherwise.
    """

    worker: str
    at: float
    only: Set[int] | None = None


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
    """A worker says that the trial has ended well."""

    trial: int
    fence: int


@dataclass(frozen=True)
class HandedBack:
    """An attempt has ended without an end of the trial, and why; the settings are those it ran with."""

    trial: int
    fence: int
    failure: Failure
    batch_size: int = 1
    accumulate: int = 1


@dataclass(frozen=True)
class Cancelled:
    """A user wants no more of a trial that waits or runs."""

    trial: int


@dataclass(frozen=True)
class Retried:
    """A user wants a trial that has ended tried again, after its last lease's number and its last epoch.

    `shrunk`: it runs with a smaller batch already.
    """

    trial: int
    fence: int
    epoch: int
    shrunk: bool = False


@dataclass(frozen=True)
class Passed:
    """Time has passed."""

    at: float


Event = Added | LeaseWanted | Renewed | Reported | Finished | HandedBack | Cancelled | Retried | Passed


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
    """The trial waits again, and goes on from its last checkpoint; no failure if a user asked for it."""

    trial: int
    failure: Failure | None


@dataclass(frozen=True)
class Restart:
    """The trial waits again, and begins anew with these settings: forget its epochs."""

    trial: int
    failure: Failure
    batch_size: int
    accumulate: int


@dataclass(frozen=True)
class Close:
    """Store the trial's end; `cancelled`: a user wanted it."""

    trial: int
    cancelled: bool = False


@dataclass(frozen=True)
class GiveUp:
    """The rule for the failure ends the trial: store it as `state`; `note` belongs to the reason."""

    trial: int
    failure: Failure
    state: Literal["failed", "infeasible"]
    note: str | None


@dataclass(frozen=True)
class Refuse:
    """Tell the worker that the trial is not its own."""

    reason: str


Action = Grant | NothingWaits | Record | Accept | Requeue | Restart | Close | GiveUp | Refuse
