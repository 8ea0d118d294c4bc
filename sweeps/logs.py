"""The log of a trial, in pieces: from this machine's disk, or from a team's server."""

from __future__ import annotations

import contextlib

from results.errors import NotFoundError
from results.reader import Reader
from results.records import StudyRecord
from runner.paths import TrialPaths
from sweeps.artifacts import Artifacts, Place, UnknownArtifactError
from sweeps.remote import Remote

_PIECE = 2**20  # bytes


def piece(reader: Reader | Remote, record: StudyRecord, number: int, offset: int) -> bytes:
    """What follows a byte of the trial's log, 1 MiB at most; nothing at its end, or where there is no log."""
    if isinstance(reader, Remote):
        try:
            return reader.log(record.name, number, offset)
        except NotFoundError:
            return b""
    return read(record, number, offset)


def read(record: StudyRecord, number: int, offset: int, artifacts: Artifacts | None = None) -> bytes:
    """The same from this machine's disk, or from what a worker elsewhere has sent."""
    try:
        with TrialPaths.of(record.work_dir, record.name, number).log.open("rb") as file:
            file.seek(offset)
            return file.read(_PIECE)
    except OSError:
        return _sent(record, number, offset, artifacts) if artifacts else b""


def _sent(record: StudyRecord, number: int, offset: int, artifacts: Artifacts) -> bytes:
    try:
        found = artifacts.find(Place(record.name, number, "train.log"))
        with contextlib.closing(artifacts.open(found, min(offset, found.size))) as file:
            return file.read(_PIECE)
    except UnknownArtifactError:
        return b""
