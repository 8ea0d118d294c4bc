"""What can happen to the processes of a town. Each fault begins at once, says whom it hits, and how it is over."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
from town import Resident, Town

KILLED = "worker killed"


@dataclass
class Fault:
    """One fault.

    Attributes:
        at: when it began, by the machine's monotonic clock.
        until: when it is over; until then what it hits may lose its training.
        pids: trainers that it may have ended.
        workers: incarnations of workers whose training of that time it may have ended.
        disk: whether it ends trainings that find no room for a checkpoint.
        over: undoes it, at `until`.
    """

    kind: str
    at: float
    until: float
    pids: set[int] = field(default_factory=set)
    workers: set[str] = field(default_factory=set)
    disk: bool = False
    over: Callable[[], None] | None = None


Kind = Callable[[Town, random.Random], Fault | None]  # None: nobody to hit just now


def begun(kind: str, seconds: float = 0.0, over: Callable[[], None] | None = None) -> Fault:
    """A fault that begins now."""
    now = time.monotonic()
    return Fault(kind, now, now + seconds, over=over)


def _trainer(town: Town, draw: random.Random) -> tuple[Resident, psutil.Process] | None:
    found = [(worker, trainer) for worker in town.workers if worker.running for trainer in worker.trainers()]
    return draw.choice(found) if found else None


def _worker(town: Town, draw: random.Random) -> Resident | None:
    found = [worker for worker in town.workers if worker.running]
    return draw.choice(found) if found else None


def kill_trainer(town: Town, draw: random.Random) -> Fault | None:
    """SIGKILL of a training in its midst."""
    if (found := _trainer(town, draw)) is None:
        return None
    with contextlib.suppress(psutil.Error):
        found[1].kill()
        fault = begun("trainer killed")
        fault.pids.add(found[1].pid)
        return fault
    return None


def stop_trainer(town: Town, draw: random.Random) -> Fault | None:
    """SIGSTOP of a training for a while: its worker renews the lease."""
    if (found := _trainer(town, draw)) is None:
        return None
    with contextlib.suppress(psutil.Error):
        found[1].suspend()
        return begun("trainer stopped", draw.uniform(0.3, 3), lambda: _resume(found[1]))
    return None


def kill_worker(town: Town, draw: random.Random) -> Fault | None:
    """SIGKILL of a worker: its training ends with it."""
    if (worker := _worker(town, draw)) is None:
        return None
    fault = begun(KILLED)
    fault.workers.add(worker.incarnation)
    worker.signal(signal.SIGKILL)
    return fault


def stop_worker(town: Town, draw: random.Random) -> Fault | None:
    """SIGSTOP of a worker and its training for less than a lease."""
    return _freeze(town, draw, "worker stopped", draw.uniform(0.5, 5))


def suspend_worker(town: Town, draw: random.Random) -> Fault | None:
    """SIGSTOP of a worker and its training for longer than a lease: the trial goes elsewhere."""
    fault = _freeze(town, draw, "worker suspended", draw.uniform(33, 36))
    if fault:
        fault.workers |= {worker.incarnation for worker in town.workers if worker.pid in _stopped(town)}
    return fault


def _freeze(town: Town, draw: random.Random, kind: str, seconds: float) -> Fault | None:
    if (worker := _worker(town, draw)) is None:
        return None
    with contextlib.suppress(psutil.Error):
        frozen = [psutil.Process(worker.pid)]
        frozen[0].suspend()
        for one in frozen[0].children(recursive=True):
            with contextlib.suppress(psutil.Error):
                one.suspend()
                frozen.append(one)

        def over() -> None:
            for one in frozen:
                _resume(one)

        return begun(kind, seconds, over)
    return None


def _stopped(town: Town) -> set[int]:
    return {w.pid for w in town.workers if w.running and psutil.Process(w.pid).status() == psutil.STATUS_STOPPED}


def _resume(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.resume()


def kill_server(town: Town, draw: random.Random) -> Fault | None:
    """SIGKILL of the study server; its supervisor starts it again."""
    if not town.server.running:
        return None
    town.server.signal(signal.SIGKILL)
    return begun("server killed")


def stop_server(town: Town, draw: random.Random) -> Fault | None:
    """SIGSTOP of the study server for a while."""
    if not town.server.running:
        return None
    town.server.signal(signal.SIGSTOP)
    return begun("server stopped", draw.uniform(0.5, 6), lambda: town.server.signal(signal.SIGCONT))
