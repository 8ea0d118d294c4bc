"""The index of artifacts: which file of which trial lies in the artifact store, under which id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from results import queries
from results.database.artifact_rows import OF_THE_STUDY, ArtifactRow, LooseRow
from results.database.models import StudyRow, TrialRow
from results.database.outage import waited_out
from results.errors import NotFoundError
from results.reader import Reader
from results.records import TrialState, now


@dataclass(frozen=True)
class ArtifactRecord:
    """A file in the artifact store.

    Attributes:
        study: whose it is.
        trial: its number; None for a file of the study's data.
        name: of the file, one of a closed set.
        size: bytes.
        sha256: of its content, 64 hex digits.
        artifact_id: under which the artifact store has it; another one for every content.
        stored_at: UTC.
    """

    study: str
    trial: int | None
    name: str
    size: int
    sha256: str
    artifact_id: str
    stored_at: datetime


@dataclass(frozen=True)
class TrialArtifact:
    """An artifact of a trial, and how that trial stands."""

    artifact: ArtifactRecord
    state: TrialState
    score: float | None
    failure: str | None = None


class ArtifactIndex:
    """Reads and writes the index, in the database of a store. Any thread may call it.

    Every method raises `ResultsError` as the store's own do, and waits for a database server that is away.

    Args:
        store: the open store.
    """

    def __init__(self, store: Reader) -> None:
        self._database, self.patience = store._database, store.patience

    @waited_out
    def require(self, study: str, trial: int | None) -> None:
        """Check that there is such a study, and such a trial of it.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as session:
            self._study_id(session, study, trial)

    @waited_out
    def find(self, study: str, trial: int | None, name: str) -> ArtifactRecord | None:
        """The artifact of that name, None if there is none."""
        with self._database.read() as session:
            query = _artifacts(study).where(ArtifactRow.trial == _number(trial), ArtifactRow.name == name)
            return next(_records(session, query), None)

    @waited_out
    def of_trial(self, study: str, trial: int | None) -> list[ArtifactRecord]:
        """All artifacts of a trial, or of the study's data, by name."""
        with self._database.read() as session:
            return list(_records(session, _artifacts(study).where(ArtifactRow.trial == _number(trial))))

    @waited_out
    def held(self) -> list[TrialArtifact]:
        """All artifacts of trials, of every study, each with the state, the score and the failure of its trial."""
        query = _artifacts().add_columns(TrialRow.state, TrialRow.score, TrialRow.failure)
        query = query.join(TrialRow, (TrialRow.study_id == StudyRow.id) & (TrialRow.number == ArtifactRow.trial))
        with self._database.read() as session:
            return [TrialArtifact(_record(row, name), *trial) for row, name, *trial in session.execute(query)]

    @waited_out
    def total(self) -> int:
        """Bytes of all artifacts."""
        with self._database.read() as session:
            return int(session.scalar(select(func.coalesce(func.sum(ArtifactRow.size), 0))) or 0)

    @waited_out
    def expect(self, artifact_id: str) -> None:
        """Note an id before anything is written under it."""
        with self._database.write() as session:
            if session.get(LooseRow, artifact_id) is None:
                session.add(LooseRow(artifact_id=artifact_id))

    @waited_out
    def put(self, study: str, trial: int | None, name: str, *, size: int, sha256: str, artifact_id: str) -> None:
        """Let the name mean what was written under the id; what it meant before is loose from then on.

        Raises:
            NotFoundError: there is no such study or trial.
        """
        with self._database.write(study) as session:
            key = {"study_id": self._study_id(session, study, trial), "trial": _number(trial), "name": name}
            old = session.get(ArtifactRow, key, with_for_update=True)
            if old is not None and old.artifact_id == artifact_id:
                return  # the answer to the same message was lost
            if old is not None:
                session.add(LooseRow(artifact_id=old.artifact_id))
                session.delete(old)
                session.flush()  # the old row goes before the new one of its key comes
            session.add(ArtifactRow(**key, size=size, sha256=sha256, artifact_id=artifact_id, stored_at=now()))
            session.execute(delete(LooseRow).where(LooseRow.artifact_id == artifact_id))

    @waited_out
    def drop(self, artifacts: Iterable[ArtifactRecord]) -> None:
        """Forget artifacts; what the store has of them is loose from then on. Those replaced meanwhile stay."""
        artifacts = list(artifacts)
        if not artifacts:
            return
        with self._database.write() as session:
            for artifact in artifacts:
                query = select(ArtifactRow).where(ArtifactRow.artifact_id == artifact.artifact_id).with_for_update()
                row = session.scalars(query).one_or_none()
                if row is not None:
                    session.add(LooseRow(artifact_id=row.artifact_id))
                    session.delete(row)

    @waited_out
    def loose(self) -> list[str]:
        """Ids of objects that nobody needs; those being written just now among them."""
        with self._database.read() as session:
            return list(session.scalars(select(LooseRow.artifact_id).order_by(LooseRow.artifact_id)))

    @waited_out
    def gone(self, artifact_ids: Iterable[str]) -> None:
        """Forget loose objects that the artifact store has no more."""
        with self._database.write() as session:
            session.execute(delete(LooseRow).where(LooseRow.artifact_id.in_(list(artifact_ids))))

    def _study_id(self, session: Session, study: str, trial: int | None) -> int:
        row = queries.find_study(session, study)
        if row is None:
            raise NotFoundError(f"no study {study} in {self._database.shown}")
        if trial is not None and queries.find_trial(session, study, trial) is None:
            raise NotFoundError(f"study {study} has no trial {trial}")
        return row.id


def _number(trial: int | None) -> int:
    return OF_THE_STUDY if trial is None else trial


def _artifacts(study: str | None = None) -> Select[ArtifactRow, str]:
    query = select(ArtifactRow, StudyRow.name).join(StudyRow, StudyRow.id == ArtifactRow.study_id)
    query = query.order_by(StudyRow.id, ArtifactRow.trial, ArtifactRow.name)
    return query if study is None else query.where(StudyRow.name == study)


def _records(session: Session, query: Select[ArtifactRow, str]) -> Iterator[ArtifactRecord]:
    return (_record(row, study) for row, study in session.execute(query))


def _record(row: ArtifactRow, study: str) -> ArtifactRecord:
    trial = None if row.trial == OF_THE_STUDY else row.trial
    return ArtifactRecord(study, trial, row.name, row.size, row.sha256, row.artifact_id, row.stored_at)
