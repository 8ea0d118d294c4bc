"""The checkpoint of a trial, wherever it lies: this machine's disk, the artifact store, a team's server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import httpx

from results.errors import ResultsError
from results.export import copy_checkpoint
from results.reader import Reader
from results.records import StudyRecord
from runner.errors import UserError
from runner.paths import TrialPaths
from runner.wire.artifacts import Transfer
from sweeps import keepsakes
from sweeps.artifacts import Place
from sweeps.remote import Remote
from sweeps.source import Source


def checkpoint(
    source: Source, reader: Reader | Remote, record: StudyRecord, numbers: Sequence[int], target: Path
) -> int:
    """Writes the checkpoint that has a trial's score, of the first of these trials that has one left.

    Returns:
        The number of that trial.

    Raises:
        UserError, ResultsError: none has one, or the target cannot be written.
    """
    files = [_file(record, number) for number in numbers]
    for number, file in zip(numbers, files, strict=True):
        if isinstance(reader, Remote):
            if _download(reader, record.name, number, file.name, target):
                return number
        elif file.is_file():
            copy_checkpoint(file, target)
            return number
        elif keepsakes.copied(reader, source.storage, Place(record.name, number, file.name), target):
            return number
    if isinstance(reader, Remote):
        raise ResultsError(f"the checkpoint of trial {numbers[0]} is no longer on the server; --export config works")
    copy_checkpoint(files[0], target)  # raises: it is gone
    return numbers[0]


def _file(record: StudyRecord, number: int) -> Path:
    """Where the checkpoint that has a trial's score lies if it lies on this machine."""
    paths = TrialPaths.of(record.work_dir, record.name, number)
    return paths.best if record.at == "best" else paths.last


def _download(server: Remote, study: str, number: int, name: str, target: Path) -> bool:
    try:
        return Transfer(server.http).download(study, number, name, target)
    except httpx.HTTPError as error:
        raise UserError(f"the study server does not answer: {error}") from error
    except OSError as error:
        raise ResultsError(f"cannot write {target}: {error.strerror or error}") from error
