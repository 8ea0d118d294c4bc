"""What was really trained, written by those who trained it: a file that nothing but appends touch."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LEDGER = "CHAOS_LEDGER"  # the file, for the stand-in trainer
WORKER = "CHAOS_WORKER"  # which worker it trains for: a new one after each start

What = Literal["begin", "saved", "disk", "result"]


@dataclass(frozen=True)
class Line:
    """One event of a training.

    Attributes:
        epoch: which one began or was saved; 0 for the others.
        worker: incarnation of the worker (`WORKER`).
        at: seconds since the machine started, the same clock in every process.
    """

    what: What
    trial: int
    fence: int
    epoch: int
    pid: int
    worker: str
    at: float


def write(path: Path, what: What, trial: int, fence: int, epoch: int = 0) -> None:
    """Adds a line, in one write: lines of several processes never mix."""
    line = Line(what, trial, fence, epoch, os.getpid(), os.environ.get(WORKER, ""), time.monotonic())
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(vars(line)) + "\n").encode())
    finally:
        os.close(descriptor)


class Reader:
    """Reads a ledger while it grows.

    Attributes:
        lines: all so far.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.lines: list[Line] = []
        self.results: set[int] = set()  # trials that sent one

    def update(self) -> None:
        """Reads what came since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = [Line(**json.loads(line)) for line in whole.splitlines()]
        self.lines += new
        self.results |= {line.trial for line in new if line.what == "result"}


def repeated(lines: Iterable[Line]) -> dict[tuple[int, int], list[Line]]:
    """(trial, epoch) -> its beginnings, of every epoch that began more than once."""
    found: dict[tuple[int, int], list[Line]] = {}
    for line in lines:
        if line.what == "begin":
            found.setdefault((line.trial, line.epoch), []).append(line)
    return {key: begun for key, begun in found.items() if len(begun) > 1}


def summary(lines: Iterable[Line]) -> Counter[str]:
    """How many lines of each kind."""
    return Counter(line.what for line in lines)
