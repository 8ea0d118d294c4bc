"""Where artifacts lie: Optuna's artifact stores, so that its dashboard and its own functions read them as well."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from runner.errors import UserError
from sweeps.artifacts.errors import BackendError


class Backend(Protocol):
    """An artifact store of Optuna's, with what a server of large files needs besides.

    Attributes:
        where: for people.
    """

    where: str

    def take(self, file: Path, artifact_id: str) -> None:
        """Keeps a whole file under a new id; the file stays. Raises `BackendError`, OSError of the local disk."""

    def open_at(self, artifact_id: str, offset: int) -> BinaryIO:
        """A reader from a byte on. Raises ArtifactNotFound, `BackendError`."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """As Optuna calls it."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """As Optuna calls it."""

    def remove(self, artifact_id: str) -> None:
        """Deletes an object, if it is there. Raises `BackendError`."""


def open_backend(where: str) -> Backend:
    """The artifact store at ``s3://BUCKET[/PREFIX]``, or in a folder, which is made.

    Raises:
        UserError: the folder can't be written to, the bucket can't be used, boto3 is not installed.
    """
    if where.startswith("s3://"):
        from sweeps.artifacts.bucket import Bucket  # boto3 takes half a second, and need not be installed

        return Bucket(where)
    if "://" in where:
        raise UserError(f"{where} is no place for artifacts; name a folder, or s3://BUCKET/PREFIX")
    return Folder(Path(where).absolute())


class Folder(FileSystemArtifactStore):
    """Artifacts in a folder of this machine, or of a network's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.where, self._folder = str(folder), folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = folder / f".sweep-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(f"{folder}: {_why(error)}; name another place for artifacts") from error

    def take(self, file: Path, artifact_id: str) -> None:
        """Links the file where that can be done, copies it where not; on disk when this returns."""
        target = self._folder / artifact_id
        try:
            target.hardlink_to(file)
        except OSError:  # another disk, or one without links
            try:
                with file.open("rb") as source, target.open("xb") as copy:
                    shutil.copyfileobj(source, copy, 2**20)
                    copy.flush()
                    os.fsync(copy.fileno())
            except OSError:
                target.unlink(missing_ok=True)
                raise
        _sync(self._folder)

    def open_at(self, artifact_id: str, offset: int) -> BinaryIO:
        """A file, whose content stays although the artifact is deleted meanwhile."""
        with self._explained("read"):
            file = self.open_reader(artifact_id)
            file.seek(offset)
            return file

    def remove(self, artifact_id: str) -> None:
        """Deletes an object, if it is there."""
        with self._explained("delete from"), contextlib.suppress(ArtifactNotFound):
            super().remove(artifact_id)

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BackendError(f"cannot {verb} the artifacts in {self.where}: {_why(error)}") from error


def _sync(folder: Path) -> None:
    """A new name in a folder outlives a power cut only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
