"""Reading what happened; results.store adds the writing."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from types import TracebackType
from typing import Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from results import queries
from results.database.models import StudyRow, TrialRow
from results.database.opening import Database
from results.database.outage import PATIENCE, waited_out
from results.errors import NotFoundError
from results.records import (
    AttemptRecord,
    EpochRecord,
    HeldRecord,
    ImportRecord,
    Span,
    StudyRecord,
    Summary,
    TrialRecord,
    TrialState,
)


class Reader:
    """The reading half of `results.store.Store`.

    Attributes:
        patience: seconds to wait for a database that is away; only its owner waits.
    """

    def __init__(self, database: Database) -> None:
        """Use an open database; `open` is the ordinary way."""
        self._database = database
        self.patience = 0.0 if database.readonly else PATIENCE

    @classmethod
    def open(cls, url: str, readonly: bool = False) -> Self:
        """Open the database and bring its tables up to date (created if missing).

        Args:
            url: ``sqlite:///sweeps.db`` or ``postgresql+psycopg://...``.
            readonly: neither create nor change anything.

        Raises:
            ResultsError: not a URL, not a database, another program's, a newer version's, not writable,
                not reachable; with ``readonly`` also one that holds no sweep yet.
        """
        return cls(Database(url, readonly))

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def guard(self) -> contextlib.AbstractContextManager[None]:
        """Turns what another library has with the same database into a `ResultsError` of one line."""
        return self._database.guard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @waited_out
    def study(self, name: str) -> StudyRecord | None:
        """The study of that name, None if there is none."""
        with self._database.read() as session:
            return next(iter(queries.read_studies(session, name)), None)

    @waited_out
    def studies(self) -> list[StudyRecord]:
        """All studies, the one started last at the end."""
        with self._database.read() as session:
            return queries.read_studies(session)

    @waited_out
    def trials(self, study: str) -> list[TrialRecord]:
        """All trials of a study by number, in one query."""
        with self._database.read() as session:
            self._study(session, study)
            return queries.read_trials(session, study)

    @waited_out
    def trial(self, study: str, number: int) -> TrialRecord | None:
        """One trial, None if the study has none of that number."""
        with self._database.read() as session:
            found = next(iter(queries.read_trials(session, study, number)), None)
            if found is None:
                self._study(session, study)
            return found

    @waited_out
    def epochs(self, study: str, number: int) -> list[EpochRecord]:
        """Every validation of a trial, in order."""
        with self._database.read() as session:
            return queries.read_epochs(session, self._trial(session, study, number, lock=False).id)

    @waited_out
    def scores(self, study: str) -> dict[int, dict[int, float]]:
        """The score of every epoch of every trial, by number and epoch, in one query."""
        with self._database.read() as session:
            return queries.read_scores(session, self._study(session, study).id)

    @waited_out
    def spans(self, study: str) -> list[Span]:
        """When its trials were trained, lease by lease, in one query."""
        with self._database.read() as session:
            return queries.read_spans(session, self._study(session, study).id)

    @waited_out
    def attempts(self, study: str, number: int) -> list[AttemptRecord]:
        """Every attempt at a trial, in order (those made since layout 0002)."""
        with self._database.read() as session:
            return queries.read_attempts(session, self._trial(session, study, number, lock=False).id)

    @waited_out
    def config(self, study: str, number: int) -> str | None:
        """Text of the trial's rendered config, None until it has finished with one."""
        with self._database.read() as session:
            return queries.read_config(session, self._trial(session, study, number, lock=False).config_hash)

    @waited_out
    def evidence(self, study: str, numbers: Collection[int]) -> dict[int, bytes]:
        """What each validation image contributed to the scores of these trials, of those that have it.

        `results.statistics.evidence` unpacks it.
        """
        with self._database.read() as session:
            return queries.read_evidence(session, self._study(session, study).id, numbers)

    @waited_out
    def holdout(self, study: str) -> dict[int, HeldRecord]:
        """What was scored on the images held out, by trial."""
        with self._database.read() as session:
            return queries.read_holdout(session, self._study(session, study).id)

    @waited_out
    def imports(self, study: str) -> list[ImportRecord]:
        """Results from elsewhere, in the order they were imported."""
        with self._database.read() as session:
            return queries.read_imports(session, self._study(session, study).id)

    @waited_out
    def counts(self, study: str) -> dict[TrialState, int]:
        """How many trials are in each state; every state is there."""
        with self._database.read() as session:
            return queries.count_states(session, self._study(session, study).id)

    @waited_out
    def summary(self, study: str) -> Summary:
        """How a study stands, without reading all its trials."""
        with self._database.read() as session:
            row = self._study(session, study)
            first, best = queries.leaders(session, row.id)
            return Summary(
                counts=queries.count_states(session, row.id),
                best=None if best is None else queries.read_trials(session, study, best)[0],
                baseline=None if first is None else queries.read_trials(session, study, first)[0],
                mean_seconds=queries.mean_seconds(session, row.id),
                repeated=queries.repeated(session, row.id),
                confirmation=row.confirmation,
            )

    def _study(self, session: Session, name: str, lock: bool = False) -> StudyRow:
        row = queries.find_study(session, name, lock)
        if row is None:
            known = ", ".join(session.scalars(select(StudyRow.name).order_by(StudyRow.id)))
            there = f"there are: {known}" if known else "there is none yet"
            raise NotFoundError(f"no study {name} in {self._database.shown}; {there}")
        return row

    def _trial(self, session: Session, study: str, number: int, lock: bool = True) -> TrialRow:
        row = queries.find_trial(session, study, number, lock)
        if row is None:
            raise self._no_trial(session, study, number)
        return row

    def _no_trial(self, session: Session, study: str, number: int) -> NotFoundError:
        """The error to raise; another one is raised if there is no such study either."""
        self._study(session, study)
        return NotFoundError(f"study {study} has no trial {number}")
