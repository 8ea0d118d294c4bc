"""The checkpoint of a trial, wherever it lies: this machine's disk, the artifact store, a team's server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from results.errors import ResultsError
from results.export import copy_checkpoint
from results.reader import Reader
from results.records import StudyRecord
from runner.errors import UserError
from runner.paths import TrialPaths
from runner.wire.artifacts import Transfer
from sweeps.access import artifact_store
from sweeps.access.remote import Remote
from sweeps.access.source import Source
from sweeps.artifacts import Place


def checkpoint(storage: str, reader: Reader | Remote, record: StudyRecord, numbers: Sequence[int], target: Path) -> int:
    """Writes the checkpoint that has a trial's score, of the first of these trials that has one left.

    Returns:
        The number of that trial.

    Raises:
        UserError, ResultsError: none has one, or the target cannot be written.
    """
    for number in numbers:
        if not isinstance(reader, Remote) and (file := _file(record, number)).is_file():
            copy_checkpoint(file, target)
            return number
        if _sent(storage, reader, record, number, target):
            return number
    if isinstance(reader, Remote):
        raise ResultsError(f"the checkpoint of trial {numbers[0]} is no longer on the server; --export config works")
    option = f" --study {record.name}{Source(storage).option}"
    copy_checkpoint(_file(record, numbers[0]), target, option)  # raises: it is gone
    return numbers[0]


@contextlib.contextmanager
def borrowed(
    storage: str, reader: Reader | Remote, record: StudyRecord, number: int, folder: Path
) -> Iterator[Path | None]:
    """The checkpoint that has a trial's score, to be read while the block lasts; None where none is left.

    Args:
        folder: takes a copy meanwhile where it lies elsewhere; made when needed.

    Raises:
        UserError, ResultsError: it cannot be had, or the copy cannot be written.
    """
    file = _file(record, number)
    if not isinstance(reader, Remote) and file.is_file():
        yield file
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"cannot write {folder}: {error.strerror or error}") from error
    copy = folder / file.name
    try:
        yield copy if _sent(storage, reader, record, number, copy) else None
    finally:
        copy.unlink(missing_ok=True)


def _file(record: StudyRecord, number: int) -> Path:
    """Where the checkpoint that has a trial's score lies if it lies on this machine."""
    paths = TrialPaths.of(record.work_dir, record.name, number)
    return paths.best if record.at == "best" else paths.last


def _sent(storage: str, reader: Reader | Remote, record: StudyRecord, number: int, target: Path) -> bool:
    """Copies what a worker sent: from a server, or from the database's artifacts. False if there is none."""
    name = _file(record, number).name
    if isinstance(reader, Remote):
        return _download(reader, record.name, number, name, target)
    return artifact_store.copied(reader, storage, Place(record.name, number, name), target)


def _download(server: Remote, study: str, number: int, name: str, target: Path) -> bool:
    try:
        return server.insist(lambda: Transfer(server.http).download(study, number, name, target))
    except httpx.HTTPError as error:
        raise UserError(f"the study server {server.shown} does not answer: {error}") from error
    except OSError as error:
        raise ResultsError(f"cannot write {target}: {error.strerror or error}") from error
