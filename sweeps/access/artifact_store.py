"""The artifacts of a database: opened where `sweep` keeps them."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound

from results.artifacts import ArtifactIndex, ArtifactRecord
from results.errors import ResultsError
from results.files import replacing
from results.reader import Reader
from results.records import StudyRecord
from runner.errors import UserError
from runner.paths import TrialPaths
from sweeps.access import runfile
from sweeps.artifacts import ArtifactError, Artifacts, Limits, Place, open_backend


def where(storage: str, artifacts: str | None = None) -> str:
    """The artifact store: the one named, that of SWEEP_ARTIFACTS, else a folder beside the database."""
    return artifacts or os.environ.get("SWEEP_ARTIFACTS") or str(runfile.beside(storage, ".artifacts"))


def opened(store: Reader, storage: str, artifacts: str | None = None, budget: int | None = None) -> Artifacts:
    """Opens the artifacts of a database, for its owner.

    Args:
        store: open on the database.
        storage: URL of the database.
        artifacts: folder or ``s3://BUCKET/PREFIX``.
        budget: bytes that they may take.

    Raises:
        UserError: the place cannot be used.
    """
    from sweeps.artifacts.dashboard import Pictures
    from sweeps.study.ledger import open_storage

    backend = open_backend(where(storage, artifacts))
    shown = Pictures(open_storage(storage, store), store)
    coming = spool(storage)
    try:
        return Artifacts(ArtifactIndex(store), backend, coming, Limits(budget=budget), shown)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UserError(
            f"{coming} is no folder for files on their way in: {why}; move it, or name another --storage"
        ) from error


def add_picture(artifacts: Artifacts, record: StudyRecord, number: int) -> None:
    """Takes the picture of a trial that trained where this process sees its folder; a trial ends well without one."""
    file = TrialPaths.of(record.work_dir, record.name, number).predictions
    if file.is_file():
        with contextlib.suppress(ArtifactError, ResultsError, OSError):
            artifacts.add(Place(record.name, number, file.name), file)


def reading(store: Reader, storage: str, place: Place, offset: int = 0) -> BinaryIO | None:
    """A reader of an artifact from a byte on, without owning the database. None if there is none.

    Raises:
        UserError, ResultsError: it cannot be read.
    """
    gone: ArtifactRecord | None = None
    while (found := ArtifactIndex(store).find(place.study, place.trial, place.name)) != gone:
        if found is None:
            return None
        try:
            return open_backend(where(storage)).open_at(found.artifact_id, min(offset, found.size))
        except ArtifactNotFound:  # replaced meanwhile, or it never was there
            gone = found
    if gone is None:
        return None
    raise UserError(f"{where(storage)} has no {place.name} of trial {place.trial}; SWEEP_ARTIFACTS names another place")


def copied(store: Reader, storage: str, place: Place, target: Path) -> bool:
    """Copies an artifact to a file, without owning the database. False if there is none.

    Raises:
        UserError, ResultsError: it cannot be read or written.
    """
    reader = reading(store, storage, place)
    if reader is None:
        return False
    with contextlib.closing(reader) as source, replacing(target) as file:
        shutil.copyfileobj(source, file, 2**20)
    return True


def spool(storage: str) -> Path:
    """Folder of files on their way in."""
    return runfile.beside(storage, ".incoming")
