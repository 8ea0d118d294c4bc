"""Requests of a worker for a trial, in the order in which it sent them, however they arrive."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from runner.protocol import LeaseRequest


@dataclass
class _Line:
    """What is known of one worker's requests.

    Attributes:
        lives: of the worker, that came before this one.
    """

    life: str = ""
    asked: int = 0
    lives: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Turns:
    """One request of a worker at a time, and only its latest.

    A server that stood still, or waited for its database, finds several requests of one worker, all but the last of
    them given up by it. Answered after the last, an old one would take back the trial that the worker now trains.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    @contextlib.contextmanager
    def turn(self, request: LeaseRequest) -> Iterator[bool]:
        """Waits until no other request of the worker is answered; yields whether this one still matters."""
        line = self._arrived(request)
        with line.lock:
            yield not self._outdated(line, request)

    def _arrived(self, request: LeaseRequest) -> _Line:
        with self._lock:
            line = self._lines.setdefault(request.worker, _Line())
            if not request.life:
                return line
            if request.life != line.life and request.life not in line.lives:
                line.lives.add(line.life)
                line.life, line.asked = request.life, request.asked
            elif request.life == line.life:
                line.asked = max(line.asked, request.asked)
            return line

    def _outdated(self, line: _Line, request: LeaseRequest) -> bool:
        with self._lock:  # whoever numbers nothing is taken as he comes
            return bool(request.life) and (request.life != line.life or request.asked < line.asked)

    def forget(self, worker: str) -> None:
        """The worker is gone for good."""
        with self._lock:
            self._lines.pop(worker, None)
