"""The store: what happened in every study, beside Optuna's tables in the same database."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from results import queries
from results.errors import ResultsError
from results.models import EpochRow, StudyRow, TrialRow
from results.reader import Reader
from results.records import FINAL, EpochRecord, StudyRecord, StudyState, TrialState, now


class Store(Reader):
    """Studies, trials, epochs and configs. Any thread may call it; every call is one short transaction.

    Every method raises `ResultsError` with one clear line when the database cannot be read or written,
    and for a study or trial that it does not hold.
    """

    def add_study(self, record: StudyRecord) -> None:
        """Keep a new study; its name must be new."""
        with self._database.write() as session:
            if queries.find_study(session, record.name) is not None:
                raise ResultsError(f"the study {record.name} exists already in {self._database.shown}")
            session.add(StudyRow(**queries.as_columns(record)))

    def touch_study(
        self,
        name: str,
        *,
        state: StudyState | None = None,
        budget: Mapping[str, Any] | None = None,
        started_at: datetime | None = None,
    ) -> None:
        """Change what may change in a study; None leaves it as it is."""
        with self._database.write() as session:
            row = self._study(session, name, lock=True)
            if state is not None:
                row.state = state
            if budget is not None:
                row.budget = dict(budget)
            if started_at is not None:
                row.started_at = started_at

    # trials

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
        with self._database.write() as session:
            study_id = self._study(session, study).id
            if queries.find_trial(session, study, number) is not None:
                raise ResultsError(f"trial {number} of study {study} exists already")
            session.add(
                TrialRow(
                    study_id=study_id,
                    number=number,
                    combination_id=queries.combination_id(session, combination, dict(parts)),
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

    def lease(self, study: str, number: int, *, fence: int, worker: str, owner: str, device: str) -> None:
        """Record that a worker has the trial under a fencing number, and one more attempt.

        Raises:
            ResultsError: the trial is final, or was leased under a later number.
        """
        with self._database.write() as session:
            row = self._trial(session, study, number)
            if row.state in FINAL:
                raise ResultsError(f"trial {number} of study {study} is {row.state} already")
            if fence < row.fence:
                raise ResultsError(f"trial {number} of study {study} has a later lease: {row.fence}, not {fence}")
            row.state, row.fence, row.attempts = "running", fence, row.attempts + 1
            row.worker, row.owner, row.device = worker, owner, device
            row.started_at = row.started_at or now()

    def release(self, study: str, number: int) -> None:
        """Put a running trial back to waiting; its epochs and its fencing number stay."""
        with self._database.write() as session:
            row = self._trial(session, study, number)
            if row.state == "running":
                row.state = "waiting"

    def add_epoch(self, study: str, number: int, epoch: EpochRecord) -> bool:
        """Keep a validation and bring the trial's score up to date; figures that are not finite become None.

        Returns:
            False, with nothing changed, if the trial has that epoch already or is final.
        """
        with self._database.write() as session:
            row = self._trial(session, study, number)
            scores = queries.epoch_scores(session, row.id)
            if epoch.epoch in scores or row.state in FINAL:
                return False
            score = _finite(epoch.score)
            metrics = {name: _finite(value) for name, value in epoch.metrics.items()}
            session.add(
                EpochRow(
                    trial_id=row.id,
                    epoch=epoch.epoch,
                    score=score,
                    metrics=metrics,
                    seconds=float(epoch.seconds),
                    reported_at=now(),
                )
            )
            scores[epoch.epoch] = score
            best = queries.best_epoch(scores)
            row.best_epoch, row.best_score = best, None if best is None else scores[best]
            at = self._study(session, study).at
            if epoch.epoch == (best if at == "best" and best is not None else max(scores)):
                row.score, row.metrics = score, metrics
            return True

    def finish(
        self,
        study: str,
        number: int,
        *,
        state: TrialState,
        reason: str | None = None,
        parameters: int | None = None,
        peak_memory_mb: float | None = None,
        seconds: float | None = None,
        versions: Mapping[str, str] | None = None,
        config: str | None = None,
    ) -> bool:
        """Record how a trial ended; its config's text is stored once, however many trials share it.

        Returns:
            False, with nothing changed, if the trial is final already.

        Raises:
            ValueError: the state is not a final one.
        """
        if state not in FINAL:
            raise ValueError(f"{state} is not a final state")
        with self._database.write() as session:
            row = self._trial(session, study, number)
            if row.state in FINAL:
                return False
            row.state, row.reason, row.finished_at = state, reason, now()
            row.parameters, row.peak_memory_mb, row.seconds = (
                parameters,
                _finite(peak_memory_mb),
                _finite(seconds),
            )
            row.versions = dict(versions or {})
            if config is not None:
                row.config_hash = queries.config_hash(session, config)
            return True


def _finite(value: float | None) -> float | None:
    """JSON and PostgreSQL know no NaN; a figure that does not exist is None everywhere."""
    return float(value) if value is not None and math.isfinite(value) else None
