"""The log of a trial, in pieces: from the disk of the process that owns the database, or from its artifacts."""

from __future__ import annotations

import contextlib
from typing import BinaryIO

from results.records import StudyRecord
from runner.paths import TrialPaths
from sweeps.artifacts.errors import UnknownArtifactError
from sweeps.artifacts.spool import Place
from sweeps.artifacts.store import Artifacts

_PIECE = 2**20  # bytes


def read(record: StudyRecord, number: int, offset: int, artifacts: Artifacts | None = None) -> bytes:
    """What follows a byte of the trial's log, 1 MiB at most; nothing at its end, or where there is no log."""
    found = on_disk(record, number, offset)
    if found is not None or artifacts is None:
        return found or b""
    try:
        artifact = artifacts.find(place(record, number))
        return piece_of(artifacts.open(artifact, min(offset, artifact.size)))
    except UnknownArtifactError:
        return b""


def on_disk(record: StudyRecord, number: int, offset: int) -> bytes | None:
    """A piece of it; None where it does not lie on this machine's disk."""
    try:
        with TrialPaths.of(record.work_dir, record.name, number).log.open("rb") as file:
            file.seek(offset)
            return file.read(_PIECE)
    except OSError:
        return None


def piece_of(file: BinaryIO | None) -> bytes:
    """The next piece of a file, which is closed; nothing of None."""
    if file is None:
        return b""
    with contextlib.closing(file):
        return file.read(_PIECE)


def place(record: StudyRecord, number: int) -> Place:
    """Where the log lies among the artifacts."""
    return Place(record.name, number, "train.log")
