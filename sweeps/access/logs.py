"""The log of a trial, in pieces: from this machine's disk, from the database's artifacts, or from a team's server."""

from __future__ import annotations

import contextlib
from typing import BinaryIO

from results.errors import NotFoundError
from results.reader import Reader
from results.records import StudyRecord
from runner.paths import TrialPaths
from sweeps.access.remote import Remote
from sweeps.artifacts import Artifacts, Place, UnknownArtifactError, access

_PIECE = 2**20  # bytes


def piece(storage: str, reader: Reader | Remote, record: StudyRecord, number: int, offset: int) -> bytes:
    """What follows a byte of the trial's log, 1 MiB at most; nothing at its end, or where there is no log.

    Raises:
        UserError, ResultsError: a worker elsewhere has sent it, and it cannot be read.
    """
    if isinstance(reader, Remote):
        try:
            return reader.log(record.name, number, offset)
        except NotFoundError:
            return b""
    found = _here(record, number, offset)
    return _read(access.reading(reader, storage, _place(record, number), offset)) if found is None else found


def read(record: StudyRecord, number: int, offset: int, artifacts: Artifacts | None = None) -> bytes:
    """The same for the process that owns the database."""
    found = _here(record, number, offset)
    return _sent(record, number, offset, artifacts) if found is None else found


def _here(record: StudyRecord, number: int, offset: int) -> bytes | None:
    """None where it does not lie on this machine's disk."""
    try:
        with TrialPaths.of(record.work_dir, record.name, number).log.open("rb") as file:
            file.seek(offset)
            return file.read(_PIECE)
    except OSError:
        return None


def _sent(record: StudyRecord, number: int, offset: int, artifacts: Artifacts | None) -> bytes:
    if artifacts is None:
        return b""
    try:
        found = artifacts.find(_place(record, number))
        return _read(artifacts.open(found, min(offset, found.size)))
    except UnknownArtifactError:
        return b""


def _read(file: BinaryIO | None) -> bytes:
    if file is None:
        return b""
    with contextlib.closing(file):
        return file.read(_PIECE)


def _place(record: StudyRecord, number: int) -> Place:
    return Place(record.name, number, "train.log")
