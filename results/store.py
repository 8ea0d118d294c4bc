"""The store: what happened in every study, beside Optuna's tables in the same database."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from results import queries
from results.database.models import HoldoutRow, ImportRow, StudyRow, TrialRow
from results.database.outage import waited_out
from results.errors import ResultsError
from results.records import HeldRecord, ImportRecord, StudyRecord, StudyState, now
from results.trials import TrialStore


class Store(TrialStore):
    """Studies, trials, epochs and configs. Any thread may call it; every call is one short transaction.

    Every method raises `ResultsError` with one clear line when the database cannot be read or written,
    and for a study or trial that it does not hold. A database server that is away is waited for.
    """

    @waited_out
    def claim(self, study: str) -> None:
        """Take the right to write a study in a PostgreSQL database, until the store is closed.

        Raises:
            ResultsError: another process has it, on whichever machine.
        """
        self._database.claim(study)

    @waited_out
    def keep_claims(self) -> set[str]:
        """Find out whether the database can be written, to be called every second or so by whoever owns it.

        Claims that were lost with a connection are taken again, but those that another process has by now.

        Returns:
            Studies that another process has had meanwhile and has no more: `claim` them, and read them anew.
        """
        return self._database.keep_claims()

    @waited_out
    def add_study(self, record: StudyRecord) -> None:
        """Keep a new study; its name must be new."""
        with self._database.write(record.name) as session:
            known = queries.find_study(session, record.name)
            if known is None:
                session.add(StudyRow(**queries.as_columns(record)))
            elif known.created_at != record.created_at:  # else it is kept already, and the answer was lost
                raise ResultsError(f"the study {record.name} exists already in {self._database.shown}")

    @waited_out
    def touch_study(
        self,
        name: str,
        *,
        state: StudyState | None = None,
        budget: Mapping[str, Any] | None = None,
        started_at: datetime | None = None,
        space_text: str | None = None,
    ) -> None:
        """Change what may change in a study; None leaves it as it is."""
        with self._database.write(name) as session:
            row = self._study(session, name, lock=True)
            if state is not None:
                row.state, row.reason = state, None
            if budget is not None:
                row.budget = dict(budget)
            if started_at is not None:
                row.started_at = started_at
            if space_text is not None:
                row.space_text = space_text

    @waited_out
    def set_state(self, name: str, state: StudyState, reason: str | None = None) -> None:
        """Change a study's state, and say why."""
        with self._database.write(name) as session:
            row = self._study(session, name, lock=True)
            row.state, row.reason = state, reason

    @waited_out
    def confirm(self, name: str, order: Mapping[str, Any]) -> None:
        """Keep what a confirmation trains, in place of the last one."""
        with self._database.write(name) as session:
            self._study(session, name, lock=True).confirmation = dict(order)

    @waited_out
    def add_holdout(self, study: str, number: int, held: HeldRecord) -> bool:
        """Keep what a trial scores on the images held out.

        Returns:
            False, with nothing changed, if it was scored before: a second look would be a choice between two.
        """
        with self._database.write(study) as session:
            trial = self._trial(session, study, number)
            if session.get(HoldoutRow, trial.id) is not None:
                return False
            session.add(
                HoldoutRow(
                    trial_id=trial.id, metrics=dict(held.metrics), evidence=held.evidence, scored_at=held.scored_at
                )
            )
            return True

    @waited_out
    def add_imports(self, study: str, rows: Iterable[ImportRecord]) -> int:
        """Keep results from elsewhere; how many are new. A row that is kept already stays as it is."""
        with self._database.write(study) as session:
            study_id = self._study(session, study, lock=True).id
            known = {one.content for one in queries.read_imports(session, study_id)}
            new = {one.content: one for one in rows if one.content not in known}
            session.add_all(ImportRow(study_id=study_id, **_fields(one)) for one in new.values())
            return len(new)

    @waited_out
    def add_trial(
        self,
        study: str,
        number: int,
        *,
        combination: str,
        parts: Mapping[str, Any],
        params: Mapping[str, Any],
        optuna_params: Mapping[str, Any],
        seed: int,
        epochs: int,
        owner: str,
        data_hash: str,
    ) -> None:
        """Keep a new trial, waiting for a worker (arguments: see `TrialRecord`); its number must be new."""
        with self._database.write(study) as session:
            study_id = self._study(session, study).id
            shape = queries.combination_id(session, combination, dict(parts))
            known = queries.find_trial(session, study, number)
            if known is not None:
                if (known.combination_id, known.seed, known.fence) == (shape, seed, 0):
                    return  # it is kept already, and the answer was lost
                raise ResultsError(f"trial {number} of study {study} exists already")
            session.add(
                TrialRow(
                    study_id=study_id,
                    number=number,
                    combination_id=shape,
                    params=dict(params),
                    optuna_params=dict(optuna_params),
                    seed=seed,
                    epochs=epochs,
                    owner=owner,
                    state="waiting",
                    metrics={},
                    versions={},
                    data_hash=data_hash,
                    created_at=now(),
                )
            )


def _fields(record: ImportRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
