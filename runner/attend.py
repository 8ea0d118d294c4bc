"""This machine's slots at work for a study server elsewhere: what ``sweep worker`` runs."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from runner.errors import UserError
from runner.machine import Slot, gpus, slots
from runner.pool.local import LocalPool
from runner.protocol import digest

_TICK_SECONDS = 0.5
INTERRUPTED = 130
log = logging.getLogger("sweep.worker")


@dataclass(frozen=True)
class Attendance:
    """What ``sweep worker`` was told.

    Attributes:
        slots: trainings at a time; None for one a GPU, or one.
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


def attend(what: Attendance) -> int:
    """Works until SIGTERM or Ctrl-C, or until the server says that nothing is left.

    Returns:
        The exit code: 0 when the server has no more, 130 if interrupted, 1 if the workers gave up.

    Raises:
        UserError: what stands in the way, in one line.
    """
    roots = parse_roots(what.roots)
    work_dir = (what.work_dir or platformdirs.user_cache_path("sweep") / "work" / digest(what.server)[:8]).absolute()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    named = [named_slot(slot) for slot in slots(what.slots, gpus())]
    options = ["--work-dir", str(work_dir), *(["--study", what.study] if what.study else [])]
    options += [word for study, root in roots.items() for word in ("--data-root", f"{study}={root}")]
    options += ["--allow-plugins"] if what.plugins else []
    pool = LocalPool(what.server, what.token, what.owner, named, None, options)
    try:
        while pool.alive and not ended.wait(_TICK_SECONDS):
            pool.tend()
    finally:
        pool.stop()
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
    return Slot(f"{socket.gethostname()}-{os.getpid()}-{slot.name}", slot.gpu, slot.machine)
