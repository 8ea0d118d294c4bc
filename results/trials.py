"""Writing what becomes of trials: leased, reported, handed back, started anew, ended, tried again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session

from results import queries
from results.database.models import AttemptRow, CombinationRow, EpochRow, EvidenceRow, TrialRow
from results.database.outage import waited_out
from results.errors import ResultsError
from results.reader import Reader
from results.records import FINAL, EpochRecord, TrialRecord, TrialState, now


class TrialStore(Reader):
    """The half of `results.store.Store` that trials are written with. Whatever is said twice counts once."""

    @waited_out
    def lease(self, study: str, number: int, *, fence: int, worker: str, owner: str, device: str) -> TrialRecord:
        """Record that a worker has the trial under a fencing number: one more attempt begins.

        Returns:
            The trial as it is now.

        Raises:
            ResultsError: the trial is final, or was leased under a later number, or to another worker.
        """
        with self._database.write(study) as session:
            row = self._trial(session, study, number)
            if row.state in FINAL:
                raise ResultsError(f"trial {number} of study {study} is {row.state} already")
            if fence < row.fence:
                raise ResultsError(f"trial {number} of study {study} has a later lease: {row.fence}, not {fence}")
            known = session.get(AttemptRow, (row.id, fence)) if row.fence == fence else None
            if known is None:
                _begin_attempt(session, row, fence, worker, owner, device)
            elif known.worker != worker or known.ended_at is not None:
                raise ResultsError(f"lease {fence} of trial {number} of study {study} was {known.worker}'s")
            session.flush()
            return queries.read_trials(session, study, number)[0]

    @waited_out
    def release(self, study: str, number: int, end: str = "lost_worker", reason: str | None = None) -> None:
        """Put a running trial back to waiting; its epochs and its fencing number stay.

        Args:
            end: what ended the attempt (see `records.AttemptRecord`).
            reason: more about it.
        """
        with self._database.write(study) as session:
            row = self._trial(session, study, number)
            if row.state == "running":
                row.state = "waiting"
                _end_attempt(session, row, end, reason)

    @waited_out
    def add_epoch(self, study: str, number: int, epoch: EpochRecord) -> bool:
        """Keep a validation and bring the trial's score up to date; figures that are not finite become None.

        Returns:
            False, with nothing changed, if the trial has that epoch already or is final.
        """
        score = _finite(epoch.score)
        metrics = {name: _finite(value) for name, value in epoch.metrics.items()}
        with self._database.write(study) as session:
            known = queries.epochs_so_far(session, study, number, epoch.epoch)
            if known is None:
                raise self._no_trial(session, study, number)
            if known.reported or known.state in FINAL:
                return False
            session.execute(
                insert(EpochRow).values(
                    trial_id=known.id,
                    epoch=epoch.epoch,
                    score=score,
                    metrics=metrics,
                    seconds=float(epoch.seconds),
                    reported_at=now(),
                )
            )
            changes = queries.better(known, epoch.epoch, score, metrics)
            if changes:
                session.execute(update(TrialRow).where(TrialRow.id == known.id).values(**changes))
            return True

    @waited_out
    def restart(self, study: str, number: int, adjusted: Mapping[str, Any] | None = None) -> None:
        """Take a trial's epochs away: its next attempt starts from scratch, with the adjusted settings.

        Raises:
            ResultsError: the trial is final.
        """
        with self._database.write(study) as session:
            row = self._trial(session, study, number)
            if row.state in FINAL:
                raise ResultsError(f"trial {number} of study {study} is {row.state} already")
            _forget_epochs(session, row)
            row.adjusted = dict(adjusted) if adjusted else None

    @waited_out
    def finish(
        self,
        study: str,
        number: int,
        *,
        state: TrialState,
        failure: str | None = None,
        reason: str | None = None,
        parameters: int | None = None,
        peak_memory_mb: float | None = None,
        seconds: float | None = None,
        seconds_per_image: float | None = None,
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
        with self._database.write(study) as session:
            row = self._trial(session, study, number)
            if row.state in FINAL:
                return False
            row.state, row.failure, row.reason, row.finished_at = state, failure, reason, now()
            row.parameters, row.peak_memory_mb, row.seconds = (
                parameters,
                _finite(peak_memory_mb),
                _finite(seconds),
            )
            row.seconds_per_image = _finite(seconds_per_image)
            row.versions = dict(versions or {})
            if config is not None:
                row.config_hash = queries.config_hash(session, config)
            _end_attempt(session, row, failure or state, reason)
            return True

    @waited_out
    def add_evidence(self, study: str, number: int, blob: bytes, version: int) -> None:
        """Keep what each validation image contributed to a trial's score, in place of what was kept before.

        Args:
            blob: as the worker packed it (see `results.statistics.evidence`).
            version: of its layout.
        """
        with self._database.write(study) as session:
            row = self._trial(session, study, number)
            session.merge(EvidenceRow(trial_id=row.id, version=version, blob=blob))

    @waited_out
    def retry(self, study: str, number: int, optuna_number: int) -> None:
        """Let a trial that has ended without a score wait again.

        It goes on after its last epoch. From scratch starts one that was infeasible (its settings are the proposed
        ones again) and one that had trained to its end.

        Args:
            optuna_number: Optuna's trial that stands for it from now on.

        Raises:
            ResultsError: the trial is complete, or has not ended.
        """
        with self._database.write(study) as session:
            row = self._trial(session, study, number)
            if row.state not in FINAL:
                if row.optuna_number == optuna_number:
                    return
                raise ResultsError(f"trial {number} of study {study} has not ended: it is {row.state}")
            if row.state == "complete":
                raise ResultsError(f"trial {number} of study {study} is complete: there is nothing to try again")
            if row.state == "infeasible":
                row.adjusted = None
            if row.state == "infeasible" or queries.last_epoch(session, row.id) >= row.epochs:
                _forget_epochs(session, row)
            row.state, row.failure, row.reason, row.finished_at = "waiting", None, None, None
            row.retries, row.optuna_number = row.retries + 1, optuna_number


def _begin_attempt(session: Session, row: TrialRow, fence: int, worker: str, owner: str, device: str) -> None:
    _end_attempt(session, row, "lost_worker", "leased again")
    row.state, row.fence, row.attempts = "running", fence, row.attempts + 1
    row.worker, row.owner, row.device = worker, owner, device
    row.started_at = row.started_at or now()
    combination = session.get_one(CombinationRow, row.combination_id)
    settings = {**(combination.parts.get("settings") or {}), **(row.adjusted or {})}
    session.add(
        AttemptRow(
            trial_id=row.id,
            fence=fence,
            worker=worker,
            owner=owner,
            device=device,
            batch_size=settings.get("batch_size"),
            accumulate=settings.get("accumulate"),
            started_at=now(),
            first_epoch=queries.last_epoch(session, row.id) + 1,
        )
    )


def _end_attempt(session: Session, row: TrialRow, end: str, reason: str | None) -> None:
    """Ends the attempt that runs; a trial whose last lease is older than layout 0002 has none."""
    attempt = session.get(AttemptRow, (row.id, row.fence)) if row.fence else None
    if attempt is not None and attempt.ended_at is None:
        attempt.end, attempt.reason, attempt.ended_at = end, reason, now()
        last = queries.last_epoch(session, row.id)
        attempt.last_epoch = last if last >= attempt.first_epoch else None


def _forget_epochs(session: Session, row: TrialRow) -> None:
    session.execute(delete(EpochRow).where(EpochRow.trial_id == row.id))
    row.score, row.best_score, row.best_epoch, row.metrics = None, None, None, {}


def _finite(value: float | None) -> float | None:
    """JSON and PostgreSQL know no NaN; a figure that does not exist is None everywhere."""
    return float(value) if value is not None and math.isfinite(value) else None
