"""What can go wrong in a town. Each fault begins at once, says whom it hits, and how it is over."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import sqlalchemy
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


def _fault(kind: str, seconds: float = 0.0, over: Callable[[], None] | None = None) -> Fault:
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
        fault = _fault("trainer killed")
        fault.pids.add(found[1].pid)
        return fault
    return None


def stop_trainer(town: Town, draw: random.Random) -> Fault | None:
    """SIGSTOP of a training for a while: its worker renews the lease."""
    if (found := _trainer(town, draw)) is None:
        return None
    with contextlib.suppress(psutil.Error):
        found[1].suspend()
        return _fault("trainer stopped", draw.uniform(0.3, 3), lambda: _resume(found[1]))
    return None


def kill_worker(town: Town, draw: random.Random) -> Fault | None:
    """SIGKILL of a worker: its training ends with it."""
    if (worker := _worker(town, draw)) is None:
        return None
    fault = _fault(KILLED)
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
        return _fault(kind, seconds, lambda: [_resume(one) for one in frozen] and None)
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
    return _fault("server killed")


def stop_server(town: Town, draw: random.Random) -> Fault | None:
    """SIGSTOP of the study server for a while."""
    if not town.server.running:
        return None
    town.server.signal(signal.SIGSTOP)
    return _fault("server stopped", draw.uniform(0.5, 6), lambda: town.server.signal(signal.SIGCONT))


def restart_database(town: Town, draw: random.Random) -> Fault | None:
    """PostgreSQL ends, politely or in a crash, and starts again."""
    assert town.plan.postgres
    town.plan.postgres.stop(draw.choice([signal.SIGINT, signal.SIGQUIT]))
    return _fault("database restarted", draw.uniform(0, 3), town.plan.postgres.start)


def disconnect_database(town: Town, draw: random.Random) -> Fault | None:
    """Every connection to PostgreSQL is cut."""
    assert town.plan.postgres
    if not town.plan.postgres.running:
        return None
    town.plan.postgres.disconnect()
    return _fault("database connections cut")


def lock_database(town: Town, draw: random.Random) -> Fault | None:
    """Another program holds the database for longer than workers wait for an answer, and shorter than their leases."""
    opened = sqlalchemy.create_engine(town.plan.storage).connect()
    if town.plan.postgres:
        opened.execute(sqlalchemy.text("LOCK TABLE sweep_trials IN EXCLUSIVE MODE"))
    else:
        opened.execute(sqlalchemy.text("BEGIN IMMEDIATE"))
    return _fault("database locked", draw.uniform(10.5, 11.5), opened.close)


def cut_network(town: Town, draw: random.Random) -> Fault | None:
    """No worker reaches the server for a while."""
    for proxy in town.proxies:
        proxy.refusing = True
        proxy.drop()

    def over() -> None:
        for proxy in town.proxies:
            proxy.refusing = False

    return _fault("network cut", draw.uniform(0.3, 5), over)


def silence_network(town: Town, draw: random.Random) -> Fault | None:
    """What one worker and the server say does not arrive for a while, and nobody is told."""
    proxy = draw.choice(town.proxies)
    proxy.silent = True

    def over() -> None:
        proxy.silent = False

    return _fault("network silent", draw.uniform(0.5, 5), over)


def delay_network(town: Town, draw: random.Random) -> Fault | None:
    """Everything takes longer for a while."""
    for proxy in town.proxies:
        proxy.delay = draw.uniform(0.05, 0.5)

    def over() -> None:
        for proxy in town.proxies:
            proxy.delay = 0.0

    return _fault("network delayed", draw.uniform(1, 5), over)


def cut_message(town: Town, draw: random.Random) -> Fault | None:
    """A message, or the answer to it, is cut in its midst; three times in a row."""
    proxy = draw.choice(town.proxies)
    if proxy.cuts_left:
        return None
    way = "up" if draw.random() < 0.5 else "down"
    proxy.cut_after(draw.randint(1, 400), way, times=3)
    return _fault(f"message cut ({way})")


def fill_work_dir(town: Town, draw: random.Random) -> Fault | None:
    """The disk of the trials' folders is full for a while: checkpoints cannot be written."""
    fault = _fill(town.plan.apart or town.plan.work_dir, "disk of trials full", draw.uniform(1, 3))
    if fault:
        fault.disk = True
    return fault


def fill_server_disk(town: Town, draw: random.Random) -> Fault | None:
    """The disk of what workers send is full for a while: they train on."""
    return _fill(town.plan.work_dir, "disk of the server full", draw.uniform(1, 3))


def fill_database_disk(town: Town, draw: random.Random) -> Fault | None:
    """The disk that SQLite's file lies on is full for a while."""
    return _fill(Path(town.plan.storage.removeprefix("sqlite:///")).parent, "disk of the database full", 2)


def _fill(folder: Path, kind: str, seconds: float) -> Fault | None:
    """Makes a small disk as large as what lies on it."""
    room = os.statvfs(folder)
    if room.f_bavail == 0:  # it is full already
        return None

    def resize(blocks: int) -> None:
        size = f"remount,size={max(blocks, 1) * room.f_frsize // 1024}k"
        subprocess.run(["mount", "-o", size, str(folder)], check=True)

    resize(room.f_blocks - room.f_bfree)
    return _fault(kind, seconds, lambda: resize(room.f_blocks))


def jump_clock(town: Town, draw: random.Random) -> Fault | None:
    """The clock of the server's machine, or of the workers', jumps by up to two days, either way."""
    path = draw.choice(sorted(town.clocks.values()))
    path.write_text(f"{draw.randint(-172_800, 172_800)}")
    return _fault(f"clock of the {path.stem} jumped")
