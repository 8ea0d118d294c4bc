"""The artifacts of a server: files that arrive in pieces, count once they are whole, and can be read again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, Self

from optuna.artifacts.exceptions import ArtifactNotFound

from results.artifacts import ArtifactRecord
from sweeps.artifacts.errors import UnknownArtifactError
from sweeps.artifacts.intake import Intake
from sweeps.artifacts.keep import Decision
from sweeps.artifacts.spool import Place

_BLOCK = 2**20


class Artifacts(Intake):
    """Takes files in and gives them out. Any thread may call it; one process a database.

    A file counts once all of it has arrived, its hash is right and it lies in the artifact store; until then the
    earlier one of its name does. What a crash left behind is cleared away at the next start.

    Args:
        index: which artifacts there are.
        backend: where they lie.
        spool: folder of partial files, beside the database; made.
        limits: how much is kept; by default the best checkpoints, without a budget.
        kept: told of every new artifact and of the one it replaced, under a lock: it must be short and not raise.

    Raises:
        OSError: the spool can't be made.
    """

    def close(self) -> None:
        """Waits for what is being handed over."""
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, place: Place, file: Path) -> None:
        """Takes a file of this machine, whole.

        Raises:
            OSError: it can't be read; else as `begin`.
        """
        with file.open("rb") as source:
            sha256, size = hashlib.file_digest(source, "sha256").hexdigest(), source.tell()
            standing = self.begin(place, size, sha256)
            source.seek(standing.offset)
            while standing.offset < size and (block := source.read(_BLOCK)):
                standing = self.put(place, size, sha256, standing.offset, block)
            while not standing.done:
                standing = self.begin(place, size, sha256)

    def find(self, place: Place) -> ArtifactRecord:
        """What is there of a name.

        Raises:
            UnknownArtifactError: nothing.
        """
        found = self.index.find(place.study, place.trial, place.name)
        if found is None:
            whose = "the data" if place.trial is None else f"trial {place.trial}"
            raise UnknownArtifactError(f"there is no {place.name[:80]} of {whose} of study {place.study[:80]} here")
        return found

    def open(self, artifact: ArtifactRecord, offset: int = 0) -> BinaryIO:
        """A reader from a byte on; it goes on reading when the artifact is replaced meanwhile.

        Raises:
            UnknownArtifactError: it has just been replaced or deleted.
            BackendError: the artifact store can't be read.
        """
        try:
            return self.backend.open_at(artifact.artifact_id, offset)
        except ArtifactNotFound:
            raise UnknownArtifactError(f"{artifact.name} of study {artifact.study} is gone from the store") from None

    def tidy(self) -> Decision:
        """Deletes what the rules no longer keep; to be called when a trial ends. Its line says what does not fit."""
        with self._lock:
            self._spool.sweep({partial.path for partial in self._partials.values()})
            decision = self._quota.tidy(self._coming())
        self._remove_loose()
        return decision
