"""The tables, prefixed ``sweep_`` because Optuna keeps its own in the same database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Double, ForeignKey, Index, MetaData, String, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: SQLite keeps no time zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment without a time zone; store the others as UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a time zone: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment its time zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text from outside (error messages, names): what a database refuses is replaced, not raised."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace lone surrogates (no UTF-8) and NUL (refused by PostgreSQL)."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


class Base(DeclarativeBase):
    """All our tables; the constraints have names so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        dict[str, Any]: JSON,
        datetime: UtcDateTime,
        float: Double,
        str: CleanText,
    }


class StudyRow(Base):
    """A study (see records.StudyRecord)."""

    __tablename__ = "sweep_studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    objective: Mapped[str] = mapped_column(String(64))
    at: Mapped[str] = mapped_column(String(8))
    scale: Mapped[str] = mapped_column(String(16))
    identity: Mapped[dict[str, Any]]
    space_text: Mapped[str]
    data: Mapped[dict[str, Any]]
    data_hash: Mapped[str] = mapped_column(String(64))
    detections: Mapped[int]
    adapted: Mapped[dict[str, Any]]
    work_dir: Mapped[str]
    budget: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime]
    reason: Mapped[str | None]
    confirmation: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class CombinationRow(Base):
    """Parts and parameters without a seed; trials with other seeds share one row.

    ``hash`` is the short name that people see. Eight digits can meet by chance among many thousand
    combinations, so a row is found by ``digest``, the SHA-256 of its parts.
    """

    __tablename__ = "sweep_combinations"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    hash: Mapped[str] = mapped_column(String(8), index=True)
    parts: Mapped[dict[str, Any]]


class ConfigRow(Base):
    """The text of a rendered config, stored once however many trials share it."""

    __tablename__ = "sweep_configs"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str]


class TrialRow(Base):
    """A trial (see records.TrialRecord)."""

    __tablename__ = "sweep_trials"
    __table_args__ = (
        Unique("study_id", "number"),
        Index("ix_sweep_trials_study_id_state_score", "study_id", "state", "score"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("sweep_studies.id", ondelete="CASCADE"))
    number: Mapped[int]
    combination_id: Mapped[int] = mapped_column(ForeignKey("sweep_combinations.id"), index=True)
    params: Mapped[dict[str, Any]]
    optuna_params: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    epochs: Mapped[int]
    owner: Mapped[str]
    worker: Mapped[str | None]
    device: Mapped[str | None]
    state: Mapped[str] = mapped_column(String(16))
    fence: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    score: Mapped[float | None]
    best_score: Mapped[float | None]
    best_epoch: Mapped[int | None]
    metrics: Mapped[dict[str, Any]]
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    peak_memory_mb: Mapped[float | None]
    seconds_per_image: Mapped[float | None]
    seconds: Mapped[float | None]
    reason: Mapped[str | None]
    versions: Mapped[dict[str, Any]]
    data_hash: Mapped[str] = mapped_column(String(64))
    config_hash: Mapped[str | None] = mapped_column(ForeignKey("sweep_configs.hash"))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(String(16))
    adjusted: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    retries: Mapped[int] = mapped_column(default=0, server_default="0")
    optuna_number: Mapped[int | None]


class AttemptRow(Base):
    """One lease of a trial and how it ended (see records.AttemptRecord)."""

    __tablename__ = "sweep_attempts"

    trial_id: Mapped[int] = mapped_column(ForeignKey("sweep_trials.id", ondelete="CASCADE"), primary_key=True)
    fence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str]
    owner: Mapped[str]
    device: Mapped[str]
    batch_size: Mapped[int | None]
    accumulate: Mapped[int | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None]
    first_epoch: Mapped[int]
    last_epoch: Mapped[int | None]


class EpochRow(Base):
    """One validation of a trial."""

    __tablename__ = "sweep_epochs"

    trial_id: Mapped[int] = mapped_column(ForeignKey("sweep_trials.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    score: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]
    seconds: Mapped[float]
    reported_at: Mapped[datetime]


class EvidenceRow(Base):
    """What each validation image contributed to a trial's score; apart from the trial, whose rows are read often.

    ``blob`` is what ``results.statistics.evidence`` unpacks; ``version`` its layout, 0 where even that cannot be read.
    """

    __tablename__ = "sweep_evidence"

    trial_id: Mapped[int] = mapped_column(ForeignKey("sweep_trials.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int]
    blob: Mapped[bytes]


class HoldoutRow(Base):
    """What a trial's checkpoint scores on the images held out (see records.HeldRecord)."""

    __tablename__ = "sweep_holdout"

    trial_id: Mapped[int] = mapped_column(ForeignKey("sweep_trials.id", ondelete="CASCADE"), primary_key=True)
    metrics: Mapped[dict[str, Any]]
    evidence: Mapped[bytes | None]
    scored_at: Mapped[datetime]


class ImportRow(Base):
    """A result from elsewhere (see records.ImportRecord)."""

    __tablename__ = "sweep_imports"
    __table_args__ = (Unique("study_id", "content"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("sweep_studies.id", ondelete="CASCADE"))
    owner: Mapped[str]
    what: Mapped[str]
    metric: Mapped[str]
    score: Mapped[float]
    assignment: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    note: Mapped[str | None]
    source: Mapped[str]
    line: Mapped[int]
    content: Mapped[str] = mapped_column(String(64))
    imported_at: Mapped[datetime]
