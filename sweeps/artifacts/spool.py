"""Files on their way in: each in a partial file beside the database until it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from sweeps.artifacts.errors import TooLargeError, WrongOffsetError, disk_error

STALE_SECONDS = 6 * 3600.0  # a partial file that nobody added to for so long goes
_BLOCK = 2**20


@dataclass(frozen=True)
class Place:
    """What a file is: of a study and a trial (None: of the study's data), under a name of the closed set."""

    study: str
    trial: int | None
    name: str


@dataclass
class Partial:
    """A file on its way in.

    Attributes:
        path: where its bytes lie so far.
        size, sha256: what was announced.
        storing: the check and the handing over, once all bytes are there.
        touched: when something was last sent, seconds of a monotonic clock.
    """

    path: Path
    size: int
    sha256: str
    storing: Future[None] | None = None
    touched: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def offset(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, offset: int, data: bytes) -> int:
        """Adds the next bytes; all of them or, where the disk is full, none. Returns the offset after them.

        Raises:
            WrongOffsetError: they are not the next ones.
            TooLargeError: they are more than was announced.
            NoRoomError: the disk is full. What was there is given back: the database needs room first.
            BackendError: the disk has another fault.
        """
        with self.lock:
            there = self.offset
            if offset != there:
                raise WrongOffsetError(there)
            if there + len(data) > self.size:
                raise TooLargeError(f"{self.size:,} bytes were announced, {there + len(data):,} are sent")
            try:
                with self.path.open("ab") as file:
                    file.write(data)
            except OSError as error:
                self.path.unlink(missing_ok=True)
                raise disk_error(error, "the server cannot keep what is sent") from error
            self.touched = time.monotonic()
            return there + len(data)

    def whole(self) -> bool:
        """Whether its content is what was announced; on disk for good when this returns."""
        found = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
            os.fsync(file.fileno())
        return found.hexdigest() == self.sha256


class Spool:
    """The folder of partial files. Their names are hashes: nothing from outside becomes a file name.

    Args:
        folder: on the database's disk; made, for its user alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def open(self, place: Place, size: int, sha256: str) -> Partial:
        """The partial file of a content, as far as it came; what was there of another content goes."""
        path = self.folder / f"{_stem(place)}.{sha256}.part"
        self.drop(place, but=path)
        partial = Partial(path, size, sha256)
        if partial.offset > size:
            path.unlink()
        if size == 0:
            path.touch()
        return partial

    def drop(self, place: Place, but: Path | None = None) -> None:
        """Deletes what arrived of a file."""
        for path in self.folder.glob(f"{_stem(place)}.*.part"):
            if path != but:
                path.unlink(missing_ok=True)

    def sweep(self, needed: set[Path]) -> None:
        """Deletes partial files that nobody added to for long, save those needed."""
        for path in self.folder.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):  # another thread was first
                if path not in needed and time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()

    def stray(self, needed: set[Path]) -> int:
        """Bytes in partial files other than those needed: an earlier server's, which may still go on."""
        size = 0
        for path in self.folder.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                size += 0 if path in needed else path.stat().st_size
        return size


def _stem(place: Place) -> str:
    return hashlib.sha256(json.dumps([place.study, place.trial, place.name]).encode()).hexdigest()[:32]
