"""What the store hands out: frozen records, detached from any database session."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

StudyState = Literal["running", "finished", "stopped", "paused"]
TrialState = Literal["waiting", "running", "complete", "pruned", "failed", "infeasible"]

STATES: tuple[TrialState, ...] = ("waiting", "running", "complete", "pruned", "failed", "infeasible")
FINAL: tuple[TrialState, ...] = ("complete", "pruned", "failed", "infeasible")


def now() -> datetime:
    """The present moment, with the time zone UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class StudyRecord:
    """A study: what is searched, for what, on which data.

    Attributes:
        objective: the metric that is maximised, e.g. ``segm_mAP``.
        at: whether a trial's score is that of its last epoch or of its best one.
        scale: of its models.
        identity: what may not change under the same name.
        space_text: the space as YAML, ``--set`` and ``--data`` applied.
        data: description of the data (``name``, ``n_val``, ...).
        detections: most detections an image that every figure of the study counts.
        adapted: what was fitted to the data.
        work_dir: folder of the study's trials.
        created_at, started_at: UTC.
        reason: why it is paused or finished, else None.
        confirmation: what was ordered last (`results.ranking.confirmation.Order`), None if nothing was.
    """

    name: str
    state: StudyState
    objective: str
    at: Literal["last", "best"]
    scale: Literal["tiny", "standard"]
    identity: dict[str, Any]
    space_text: str
    data: dict[str, Any]
    data_hash: str
    detections: int
    adapted: dict[str, Any]
    work_dir: str
    budget: dict[str, Any]
    created_at: datetime = field(default_factory=now)
    started_at: datetime = field(default_factory=now)
    reason: str | None = None
    confirmation: dict[str, Any] | None = None


@dataclass(frozen=True)
class Span:
    """When a trial was trained under one lease; `ended` is None while it is."""

    trial: int
    begun: datetime
    ended: datetime | None


@dataclass(frozen=True)
class TrialRecord:
    """One training and what came of it.

    Attributes:
        combination: eight hex digits that name the parts and parameters (no seed).
        parts: as proposed: ``model``, ``backbone``, ``optimizer``, ``schedule`` as ``{"name", "params"}`` (schedule
            may be None), ``augmentation`` as a list of those, ``settings`` and ``config``.
        params: flat, dotted: ``{"optimizer.lr": 0.001}``.
        optuna_params: what the sampler proposed, under its own names.
        epochs: how many were planned.
        fence: number of the latest lease, rising with each; 0 before the first.
        attempts: leases so far.
        score: the objective at the last epoch (or the best one, as the study says); None without a figure.
        metrics: figures of the epoch that has the score.
        parameters: how many the model has.
        peak_memory_mb: MiB.
        seconds_per_image: that its model takes, without loading (`runner.plugins.stopwatch`).
        seconds: training time over all attempts.
        reason: why the trial is not complete, else None.
        versions: package -> version, plus device, threads and loader workers.
        created_at, started_at, finished_at: UTC.
        failure: what kind of failure ended it (``out_of_memory``, ``cancelled``), None if none did.
        adjusted: settings that a retry changed (``batch_size``, ``accumulate``), None if it trains as proposed.
        retries: how often people had it tried again after its end.
        optuna_number: Optuna's trial that stands for it now, None while that has the same number.
    """

    study: str
    number: int
    combination: str
    parts: dict[str, Any]
    params: dict[str, Any]
    optuna_params: dict[str, Any]
    seed: int
    epochs: int
    owner: str
    worker: str | None
    device: str | None
    state: TrialState
    fence: int
    attempts: int
    score: float | None
    best_score: float | None
    best_epoch: int | None
    metrics: dict[str, float | None]
    parameters: int | None
    peak_memory_mb: float | None
    seconds: float | None
    reason: str | None
    versions: dict[str, str]
    data_hash: str
    config_hash: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failure: str | None = None
    adjusted: dict[str, Any] | None = None
    retries: int = 0
    optuna_number: int | None = None
    seconds_per_image: float | None = None

    @property
    def trained(self) -> dict[str, Any]:
        """`parts` as they are trained now: with the settings that a retry changed."""
        return {**self.parts, "settings": {**self.parts["settings"], **(self.adjusted or {})}}


@dataclass(frozen=True)
class AttemptRecord:
    """One lease of a trial and how it ended.

    Attributes:
        fence: the lease's number, rising.
        batch_size, accumulate: images a step, and steps between two updates; None where the trial names none.
        end: ``complete``, ``pruned``, or what kind of failure ended it; None while it runs.
        reason: more about the end.
        first_epoch: the epoch that it began with; above 1 where it went on from a checkpoint.
        last_epoch: the last one that it reported, None if none.
        started_at, ended_at: UTC.
    """

    fence: int
    worker: str
    owner: str
    device: str
    batch_size: int | None
    accumulate: int | None
    started_at: datetime
    ended_at: datetime | None
    end: str | None
    reason: str | None
    first_epoch: int
    last_epoch: int | None


@dataclass(frozen=True)
class HeldRecord:
    """What a trial's checkpoint scores on the images held out; scored once.

    Attributes:
        metrics: every figure by its name.
        evidence: what each image contributed, as the trials' own (`results.statistics.evidence`).
        scored_at: UTC.
    """

    metrics: dict[str, float | None]
    evidence: bytes | None
    scored_at: datetime


@dataclass(frozen=True)
class ImportRecord:
    """A result from elsewhere, kept apart from the trials.

    Attributes:
        what: the row's cells, as people wrote them.
        metric: what its score is.
        assignment: what the sampler would have called it, where it learns from it; else None.
        note: why it does not, or what was assumed, for the row leaves it out; None where neither is so.
        source, line: file and line it came from.
        content: SHA-256 of the row; it is kept once, however often it is imported.
        imported_at: UTC.
    """

    owner: str
    what: str
    metric: str
    score: float
    assignment: dict[str, Any] | None
    note: str | None
    source: str
    line: int
    content: str
    imported_at: datetime

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "owner": self.owner,
            "what": self.what,
            "metric": self.metric,
            "score": self.score,
            "informs": self.assignment,
            "note": self.note,
            "source": self.source,
            "line": self.line,
        }


@dataclass(frozen=True)
class Summary:
    """How a study stands.

    Attributes:
        counts: trials by state, every state.
        best: the complete trial with the highest score, the lowest number where equal; None before the first.
        baseline: the complete trial with the lowest number.
        mean_seconds: of complete trials.
        repeated: whether a combination has several complete trials.
        confirmation: as in `StudyRecord`.
    """

    counts: dict[TrialState, int]
    best: TrialRecord | None
    baseline: TrialRecord | None
    mean_seconds: float | None
    repeated: bool
    confirmation: dict[str, Any] | None


@dataclass(frozen=True)
class EpochRecord:
    """One validation: epoch (from 1), the objective, all figures, seconds since the one before."""

    epoch: int
    score: float | None
    metrics: dict[str, float | None]
    seconds: float = 0.0
