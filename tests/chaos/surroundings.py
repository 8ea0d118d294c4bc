"""What can happen around a town's processes: database, network, disks, clocks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import sqlalchemy
from faults import Fault, begun
from town import Town


def restart_database(town: Town, draw: random.Random) -> Fault | None:
    """PostgreSQL ends, politely or in a crash, and starts again."""
    assert town.plan.postgres
    town.plan.postgres.stop(draw.choice([signal.SIGINT, signal.SIGQUIT]))
    return begun("database restarted", draw.uniform(0, 3), town.plan.postgres.start)


def disconnect_database(town: Town, draw: random.Random) -> Fault | None:
    """Every connection to PostgreSQL is cut."""
    assert town.plan.postgres
    if not town.plan.postgres.running:
        return None
    town.plan.postgres.disconnect()
    return begun("database connections cut")


def lock_database(town: Town, draw: random.Random) -> Fault | None:
    """Another program holds the database for longer than workers wait for an answer, and shorter than their leases."""
    opened = sqlalchemy.create_engine(town.plan.storage).connect()
    if town.plan.postgres:
        opened.execute(sqlalchemy.text("LOCK TABLE sweep_trials IN EXCLUSIVE MODE"))
    else:
        opened.execute(sqlalchemy.text("BEGIN IMMEDIATE"))
    return begun("database locked", draw.uniform(10.5, 11.5), opened.close)


def cut_network(town: Town, draw: random.Random) -> Fault | None:
    """No worker reaches the server for a while."""
    for proxy in town.proxies:
        proxy.refusing = True
        proxy.drop()

    def over() -> None:
        for proxy in town.proxies:
            proxy.refusing = False

    return begun("network cut", draw.uniform(0.3, 5), over)


def silence_network(town: Town, draw: random.Random) -> Fault | None:
    """What one worker and the server say does not arrive for a while, and nobody is told."""
    proxy = draw.choice(town.proxies)
    proxy.silent = True

    def over() -> None:
        proxy.silent = False

    return begun("network silent", draw.uniform(0.5, 5), over)


def delay_network(town: Town, draw: random.Random) -> Fault | None:
    """Everything takes longer for a while."""
    for proxy in town.proxies:
        proxy.delay = draw.uniform(0.05, 0.5)

    def over() -> None:
        for proxy in town.proxies:
            proxy.delay = 0.0

    return begun("network delayed", draw.uniform(1, 5), over)


def cut_message(town: Town, draw: random.Random) -> Fault | None:
    """A message, or the answer to it, is cut in its midst; three times in a row."""
    proxy = draw.choice(town.proxies)
    if proxy.cuts_left:
        return None
    way = "up" if draw.random() < 0.5 else "down"
    proxy.cut_after(draw.randint(1, 400), way, times=3)
    return begun(f"message cut ({way})")


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

    at = time.monotonic()  # it is full before the command has ended
    resize(folder, (room.f_blocks - room.f_bfree) * room.f_frsize)
    fault = begun(kind, seconds, lambda: resize(folder, room.f_blocks * room.f_frsize))
    fault.at = at
    return fault


def resize(folder: Path, size: int) -> None:
    """Makes a small disk smaller or larger; `size` in bytes."""
    subprocess.run(["mount", "-o", f"remount,size={max(size // 1024, 4)}k", str(folder)], check=True)


def jump_clock(town: Town, draw: random.Random) -> Fault | None:
    """The clock of the server's machine, or of the workers', jumps by up to two days, either way."""
    path = draw.choice(sorted(town.clocks.values()))
    path.write_text(f"{draw.randint(-172_800, 172_800)}")
    return begun(f"clock of the {path.stem} jumped")
