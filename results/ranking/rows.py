"""The rows of a ranking, and the ranking itself, as data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from results.records import ImportRecord, StudyRecord, TrialRecord

if TYPE_CHECKING:
    from results.ranking.standings import Standings

METRICS = (
    "segm_mAP", "segm_mAP_50", "segm_mAP_75", "segm_mAP_s", "segm_mAP_m", "segm_mAP_l", "bbox_mAP",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One trial in the ranking.

    Attributes:
        rank: 1 is best; equal scores share it; None if the trial is not complete or has no score.
        augmentation: names in the order they are applied.
        score: the objective, all digits.
        metrics: every name of `METRICS`, None where there is no such figure.
        delta_baseline: score minus the baseline's, None if unranked.
        mean, seeds: of the complete trials of its combination; None if this one has no place.
        interval: of the mean, 95 %, None without evidence.
        group: places that the combination may have, None where the noise between seeds is not known.
        seconds_per_image: that the model takes, None where it was not measured.
        front: whether no other row has a higher score at no higher cost; None where a study has but one goal.
        adjusted: settings that it trained with instead of those proposed, None where there are none.
        label: what was tried (not part of the document).
        what: the same without the seed (not part of it either).
    """

    rank: int | None
    trial: int
    combination: str
    state: str
    owner: str
    model: str | None
    backbone: str | None
    augmentation: list[str]
    optimizer: str | None
    params: dict[str, Any]
    seed: int
    epochs: int
    score: float | None
    metrics: dict[str, float | None]
    best_score: float | None
    best_epoch: int | None
    delta_baseline: float | None
    parameters: int | None
    peak_memory_mb: float | None
    seconds: float | None
    reason: str | None
    label: str
    what: str = ""
    mean: float | None = None
    seeds: int | None = None
    interval: tuple[float, float] | None = None
    group: tuple[int, int] | None = None
    seconds_per_image: float | None = None
    front: bool | None = None
    adjusted: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """The row as JSON has it: the metrics stand beside the score, no NaN anywhere."""
        flat: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if name == "metrics":
                flat.update(value)
            elif name not in ("label", "what"):
                flat[name] = value
        return {name: finite(value) for name, value in flat.items()}


@dataclass(frozen=True)
class Baseline:
    """The complete trial with the lowest number: the first combination that the space lists."""

    trial: int
    score: float
    label: str


@dataclass(frozen=True)
class Ranking:
    """The rows in order, and what a reader must know about them.

    Attributes:
        varied: names of what differs among the trials (``model``, ``optimizer.lr``).
        common: what all trials share.
        hidden: how many trials are left out because they are not complete, by state.
        all_states: whether trials that are not complete are rows as well.
        by: the part of which each value has its best row, None for every trial.
        standings: the combinations by mean.
        every: the rows of all ranked trials, whatever `by` left out.
        runs: whether every training keeps its own line where combinations were repeated.
        imported: results from elsewhere, which no row, place or interval knows of.
        merged: whether a row is a combination with the mean of its seeds, else a trial.
        against: what is minimised beside the score (``parameters``), None where there is one goal.
        confirmed: the combination that is exported as the best because it was confirmed, None where none is.
        promising: trials that a pruner stopped, and that stood higher then than the first three did at that epoch.
        rescued: ranked trials that ran out of memory and trained with a smaller batch.
        option: what command lines that are suggested need to find the study's database or server.
    """

    study: StudyRecord
    objective: str
    direction: str
    baseline: Baseline | None
    rows: list[Row]
    varied: tuple[str, ...]
    common: dict[str, Any] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)
    all_states: bool = False
    by: str | None = None
    standings: Standings | None = None
    every: tuple[Row, ...] = ()
    runs: bool = False
    merged: bool = False
    imported: tuple[ImportRecord, ...] = ()
    against: str | None = None
    promising: tuple[int, ...] = ()
    confirmed: str | None = None
    rescued: tuple[TrialRecord, ...] = ()
    option: str = ""

    @property
    def best(self) -> Row | None:
        """The first ranked row."""
        return next((row for row in self.rows if row.rank is not None), None)

    def document(self) -> dict[str, Any]:
        """The ranking as JSON has it."""
        return {
            "study": self.study.name,
            "objective": self.objective,
            "direction": self.direction,
            "against": self.against,
            "promising": list(self.promising),
            "confirmed": self.confirmed,
            "baseline": asdict(self.baseline) if self.baseline else None,
            "rows": [row.document() for row in self.rows],
            "combinations": [one.document() for one in self.standings.standings] if self.standings else [],
            "confidence": self._confidence(),
            "imported": [one.document() for one in self.imported],
        }

    def _confidence(self) -> dict[str, Any] | None:
        """What intervals and groups rest on, None where there are none."""
        if self.standings is None or not self.standings.images:
            return None
        return {
            "level": 0.95,
            "images": self.standings.images,
            "seed_noise": self.standings.noise,
            "seed_freedom": self.standings.freedom,
            "notes": list(self.standings.notes),
        }


def finite(value: Any) -> Any:
    """The value with every number that JSON does not know (NaN, infinity) as None, also inside it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
