"""This machine's slots at work for a study server elsewhere: what ``sweep worker`` runs."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import platformdirs

from runner.errors import INTERRUPTED, UserError
from runner.machine import Slot, gpus, slots
from runner.pool.claims import Claims
from runner.pool.local import LocalPool
from runner.protocol import digest

_TICK_SECONDS = 0.5
log = logging.getLogger("sweep.worker")


@dataclass(frozen=True)
class Attendance:
    """What ``sweep worker`` was told.

    Attributes:
        slots: trainings at a time; None for `per_gpu` on each GPU, or one.
        per_gpu: trainings at a time on each GPU, or ``auto``: as many as its memory has room for.
        roots: texts of ``--data-root``.
        work_dir: folder of what trains here; None for one in the user's cache folder.
        plugins: whether code that a study brings may run here.
    """

    server: str
    token: str
    owner: str
    study: str | None
    slots: int | None
    roots: tuple[str, ...]
    work_dir: Path | None
    plugins: bool
    per_gpu: int | Literal["auto"] = 1


def attend(what: Attendance) -> int:
    """Works until SIGTERM or Ctrl-C, or until the server says that nothing is left.

    Returns:
        The exit code: 0 when the server has no more, 130 if interrupted, 1 if the workers gave up.

    Raises:
        UserError: what stands in the way, in one line.
    """
    roots = parse_roots(what.roots)
    work_dir = (what.work_dir or platformdirs.user_cache_path("sweep") / "work" / digest(what.server)[:8]).absolute()
    ended, caught = threading.Event(), set[int]()

    def end(number: int, _: object) -> None:
        caught.add(number)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    claims = Claims()  # held until this process ends
    per_gpu = 1 if what.per_gpu == "auto" else what.per_gpu
    named = [named_slot(slot) for slot in slots(what.slots, claims.take(gpus()), per_gpu)]
    options = ["--work-dir", str(work_dir), *(["--study", what.study] if what.study else [])]
    options += [word for study, root in roots.items() for word in ("--data-root", f"{study}={root}")]
    options += ["--allow-plugins"] if what.plugins else []
    pool = LocalPool(what.server, what.token, what.owner, named, None, options, auto=what.per_gpu == "auto")
    try:
        while pool.alive and not ended.wait(_TICK_SECONDS):
            pool.tend()
    finally:
        pool.stop(preempted=signal.SIGTERM in caught)
    return INTERRUPTED if ended.is_set() else 1 if pool.faulty else 0


def parse_roots(texts: Sequence[str]) -> dict[str, Path]:
    """``[STUDY=]DIR`` -> folder by study, ``""`` for all.

    Raises:
        UserError: a folder is not there, or a study has two.
    """
    found: dict[str, Path] = {}
    for text in texts:
        study, _, folder = text.rpartition("=") if not Path(text).is_dir() else ("", "", text)
        path = Path(folder).expanduser().absolute()
        if not path.is_dir():
            raise UserError(f"--data-root {text}: there is no folder {path}; write DIR or STUDY=DIR")
        if study in found:
            raise UserError(f"--data-root {text}: {study or 'every study'} has {found[study]} already")
        found[study] = path
    return found


def named_slot(slot: Slot) -> Slot:
    """The slot under a name that no other machine and no other process on this one has."""
    return replace(slot, name=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}-{slot.name}")
