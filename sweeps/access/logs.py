"""The log of a trial wherever it lies: on this machine's disk, among the database's artifacts, on a team's server."""

from __future__ import annotations

from results.errors import NotFoundError
from results.reader import Reader
from results.records import StudyRecord
from sweeps.access import artifact_store
from sweeps.access.remote import Remote
from sweeps.artifacts.logs import on_disk, piece_of, place


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
    found = on_disk(record, number, offset)
    if found is None:
        found = piece_of(artifact_store.reading(reader, storage, place(record, number), offset))
    return found
