"""The questions the store asks of its tables; each works in the session of its caller."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from results.database.models import (
    AttemptRow,
    CombinationRow,
    ConfigRow,
    EpochRow,
    EvidenceRow,
    HoldoutRow,
    ImportRow,
    StudyRow,
    TrialRow,
)
from results.records import (
    STATES,
    AttemptRecord,
    EpochRecord,
    HeldRecord,
    ImportRecord,
    Span,
    StudyRecord,
    TrialRecord,
    TrialState,
)

_STUDY = [getattr(StudyRow, field.name) for field in dataclasses.fields(StudyRecord)]
_ELSEWHERE = {
    "study": StudyRow.name.label("study"),
    "combination": CombinationRow.hash.label("combination"),
    "parts": CombinationRow.parts,
}
# Columns, not mapped objects: 10,000 trials are read in well under a second.
_TRIAL = [
    _ELSEWHERE[field.name] if field.name in _ELSEWHERE else getattr(TrialRow, field.name)
    for field in dataclasses.fields(TrialRecord)
]
_IMPORT = [getattr(ImportRow, field.name) for field in dataclasses.fields(ImportRecord)]
_ATTEMPT = [getattr(AttemptRow, field.name) for field in dataclasses.fields(AttemptRecord)]


def as_columns(record: StudyRecord) -> dict[str, Any]:
    """The record's fields by column name."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def find_study(session: Session, name: str, lock: bool = False) -> StudyRow | None:
    """The study's row; ``lock`` keeps other transactions from changing it meanwhile."""
    query = select(StudyRow).where(StudyRow.name == name)
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def find_trial(session: Session, study: str, number: int, lock: bool = False) -> TrialRow | None:
    """The trial's row; ``lock`` keeps other transactions from changing it meanwhile."""
    query = select(TrialRow).join(StudyRow).where(StudyRow.name == study, TrialRow.number == number)
    return session.scalars(query.with_for_update(of=TrialRow) if lock else query).one_or_none()


def read_studies(session: Session, name: str | None = None) -> list[StudyRecord]:
    """All studies (or the one of that name), the one started last at the end."""
    query = select(*_STUDY).order_by(StudyRow.started_at, StudyRow.id)
    if name is not None:
        query = query.where(StudyRow.name == name)
    return [StudyRecord(**row._mapping) for row in session.execute(query)]


def read_trials(session: Session, study: str, number: int | None = None) -> list[TrialRecord]:
    """All trials of a study (or the one of that number) by number."""
    query = select(*_TRIAL).select_from(TrialRow).join(StudyRow).join(CombinationRow)
    query = query.where(StudyRow.name == study).order_by(TrialRow.number)
    if number is not None:
        query = query.where(TrialRow.number == number)
    return [TrialRecord(**row._mapping) for row in session.execute(query)]


def read_epochs(session: Session, trial_id: int) -> list[EpochRecord]:
    """The validations of a trial, in order."""
    query = select(EpochRow).where(EpochRow.trial_id == trial_id).order_by(EpochRow.epoch)
    return [EpochRecord(row.epoch, row.score, row.metrics, row.seconds) for row in session.scalars(query)]


def read_scores(session: Session, study_id: int) -> dict[int, dict[int, float]]:
    """The scores of all epochs of a study's trials, by number and epoch; those without one are left out."""
    query = select(TrialRow.number, EpochRow.epoch, EpochRow.score).join(EpochRow, EpochRow.trial_id == TrialRow.id)
    query = query.where(TrialRow.study_id == study_id)
    found: dict[int, dict[int, float]] = {}
    for number, epoch, score in session.execute(query.order_by(TrialRow.number, EpochRow.epoch)):
        if score is not None:
            found.setdefault(number, {})[epoch] = score
    return found


def read_attempts(session: Session, trial_id: int) -> list[AttemptRecord]:
    """The attempts at a trial, in order."""
    query = select(*_ATTEMPT).where(AttemptRow.trial_id == trial_id).order_by(AttemptRow.fence)
    return [AttemptRecord(**row._mapping) for row in session.execute(query)]


def read_spans(session: Session, study_id: int) -> list[Span]:
    """When the trials of a study were trained."""
    query = select(TrialRow.number, AttemptRow.started_at, AttemptRow.ended_at)
    query = query.join(AttemptRow, AttemptRow.trial_id == TrialRow.id).where(TrialRow.study_id == study_id)
    return [Span(*row) for row in session.execute(query)]


def last_epoch(session: Session, trial_id: int) -> int:
    """The latest epoch that was reported, 0 before the first."""
    return session.scalar(select(func.max(EpochRow.epoch)).where(EpochRow.trial_id == trial_id)) or 0


@dataclasses.dataclass(frozen=True)
class SoFar:
    """What a trial has before an epoch is added.

    Attributes:
        at: whether its score is that of the last epoch or of the best one.
        last: the latest epoch, None before the first.
        reported: whether it has the epoch already.
    """

    id: int
    state: str
    best_score: float | None
    best_epoch: int | None
    at: str
    last: int | None
    reported: bool


def epochs_so_far(session: Session, study: str, number: int, epoch: int) -> SoFar | None:
    """What a trial has before an epoch is added; None if there is no such trial. Locks its row."""
    query = select(TrialRow.id, TrialRow.state, TrialRow.best_score, TrialRow.best_epoch, StudyRow.at).join(StudyRow)
    query = query.where(StudyRow.name == study, TrialRow.number == number).with_for_update(of=TrialRow)
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    # A query of its own: one that waited for the lock would still see the epochs of before.
    same = func.max(case((EpochRow.epoch == epoch, 1), else_=0))
    last, reported = session.execute(select(func.max(EpochRow.epoch), same).where(EpochRow.trial_id == row.id)).one()
    return SoFar(*row, last, bool(reported))


def better(known: SoFar, epoch: int, score: float | None, metrics: dict[str, float | None]) -> dict[str, Any]:
    """What a new epoch changes in its trial: the best score (the earlier epoch's where equal), and the trial's."""
    changes: dict[str, Any] = {}
    rank = None if score is None else (score, -epoch)
    best = None if known.best_score is None or known.best_epoch is None else (known.best_score, -known.best_epoch)
    if rank is not None and (best is None or rank > best):
        changes.update(best_score=score, best_epoch=epoch)
    latest = known.last is None or epoch > known.last
    scored = best is not None or rank is not None
    if bool(changes) if known.at == "best" and scored else latest:
        changes.update(score=score, metrics=metrics)
    return changes


def read_config(session: Session, config_hash: str | None) -> str | None:
    """The text of a config by its hash."""
    return session.scalar(select(ConfigRow.text).where(ConfigRow.hash == config_hash))


def read_evidence(session: Session, study_id: int, numbers: Collection[int]) -> dict[int, bytes]:
    """The evidence of those trials of a study that have it."""
    query = select(TrialRow.number, EvidenceRow.blob).join(EvidenceRow, EvidenceRow.trial_id == TrialRow.id)
    query = query.where(TrialRow.study_id == study_id, TrialRow.number.in_(numbers))
    return {number: blob for number, blob in session.execute(query)}  # noqa: C416 - typed rows, not tuples


def read_holdout(session: Session, study_id: int) -> dict[int, HeldRecord]:
    """What was scored on the images held out, by trial."""
    query = select(TrialRow.number, HoldoutRow).join(HoldoutRow, HoldoutRow.trial_id == TrialRow.id)
    rows = session.execute(query.where(TrialRow.study_id == study_id).order_by(TrialRow.number))
    return {number: HeldRecord(row.metrics, row.evidence, row.scored_at) for number, row in rows}


def read_imports(session: Session, study_id: int) -> list[ImportRecord]:
    """Results from elsewhere, in the order they were imported."""
    rows = session.execute(select(*_IMPORT).where(ImportRow.study_id == study_id).order_by(ImportRow.id))
    return [ImportRecord(**row._mapping) for row in rows]


def count_states(session: Session, study_id: int) -> dict[TrialState, int]:
    """How many trials of a study are in each state, zeros included."""
    query = select(TrialRow.state, func.count()).where(TrialRow.study_id == study_id).group_by(TrialRow.state)
    found = {state: count for state, count in session.execute(query)}  # noqa: C416 - as above
    return {state: found.get(state, 0) for state in STATES}


def leaders(session: Session, study_id: int) -> tuple[int | None, int | None]:
    """The numbers of the first complete trial with a score and of the best one (the first where equal)."""
    ranked = select(TrialRow.number).where(*_ranked(study_id))
    first = session.scalar(ranked.order_by(TrialRow.number).limit(1))
    return first, session.scalar(ranked.order_by(TrialRow.score.desc(), TrialRow.number).limit(1))


def repeated(session: Session, study_id: int) -> bool:
    """Whether a combination of the study has several complete trials with a score."""
    query = select(TrialRow.combination_id).where(*_ranked(study_id)).group_by(TrialRow.combination_id)
    return session.scalar(query.having(func.count() > 1).limit(1)) is not None


def _ranked(study_id: int) -> tuple[ColumnElement[bool], ...]:
    return TrialRow.study_id == study_id, TrialRow.state == "complete", TrialRow.score.is_not(None)


def mean_seconds(session: Session, study_id: int) -> float | None:
    """Mean training time of complete trials."""
    query = select(func.avg(TrialRow.seconds)).where(TrialRow.study_id == study_id, TrialRow.state == "complete")
    return session.scalar(query.where(TrialRow.seconds > 0))


def combination_id(session: Session, short: str, parts: dict[str, Any]) -> int:
    """The row of a combination, made if it is new."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    query = select(CombinationRow.id).where(CombinationRow.digest == digest)
    found = session.scalar(query)
    if found is None:
        _add_once(session, CombinationRow(digest=digest, hash=short, parts=parts))
        found = session.scalars(query).one()
    return found


def config_hash(session: Session, config: str) -> str:
    """The hash (SHA-256) under which a config's text is stored, storing it if it is new."""
    digest = hashlib.sha256(config.encode("utf-8", "replace")).hexdigest()
    if session.get(ConfigRow, digest) is None:
        _add_once(session, ConfigRow(hash=digest, text=config))
    return digest


def _add_once(session: Session, row: CombinationRow | ConfigRow) -> None:
    """Insert a row that another transaction may be inserting at the same moment."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        session.expire_all()
