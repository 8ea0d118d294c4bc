"""The checkpoint of a trial, wherever it lies: this machine's disk, the artifact store, a team's server."""

from __future__ import annotations

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


def checkpoint(source: Source, reader: Reader | Remote, record: StudyRecord, number: int, target: Path) -> None:
    """Writes the checkpoint that has the trial's score.

    Raises:
        UserError, ResultsError: there is none, or the target cannot be written.
    """
    paths = TrialPaths.of(record.work_dir, record.name, number)
    file = paths.best if record.at == "best" else paths.last
    if isinstance(reader, Remote):
        _download(reader, record.name, number, file.name, target)
        return
    if not file.is_file():
        place = Place(record.name, number, file.name)
        if keepsakes.copied(reader, source.storage, place, target):
            return
    copy_checkpoint(file, target)


def _download(server: Remote, study: str, number: int, name: str, target: Path) -> None:
    try:
        found = Transfer(server.http).download(study, number, name, target)
    except httpx.HTTPError as error:
        raise UserError(f"the study server does not answer: {error}") from error
    except OSError as error:
        raise ResultsError(f"cannot write {target}: {error.strerror or error}") from error
    if not found:
        raise ResultsError(f"the checkpoint of trial {number} is no longer on the server; --export config works")
