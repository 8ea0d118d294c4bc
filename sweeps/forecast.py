"""What a study will take, from what like trainings took: pure, reads no database and no clock.

The seconds of an epoch are taken as a product of factors, one for each part and setting that moves them (model,
backbone, augmentation, optimizer, sizes): least squares on their logarithms. Numbers inside a part, such as learning
rates, are not looked at. What was never measured cannot be foretold, and is named instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from results.records import TrialRecord
from runner.protocol import Combination

_SETTINGS = ("image_size", "batch_size", "accumulate", "amp", "ema")
_RIDGE = 1e-3  # keeps factors that the measurements cannot tell apart small
Levels = Mapping[str, str]
"""What moves the seconds of an epoch: factor ("model", "image_size") -> what was chosen."""


@dataclass(frozen=True)
class Point:
    """What an epoch of something took.

    Attributes:
        seconds: of one epoch, validation included.
        at: when it was measured (UTC).
    """

    levels: Levels
    seconds: float
    at: datetime


@dataclass(frozen=True)
class Review:
    """A forecast beside what was so.

    Attributes:
        trials: that have ended and could be foretold.
        foretold, took: hours of training of them.
    """

    trials: int
    foretold: float
    took: float

    @property
    def error(self) -> float:
        """How far the forecast was off, as a share of what it took."""
        return abs(self.foretold - self.took) / self.took


def levels(combination: Combination) -> dict[str, str]:
    """What moves the seconds of an epoch of a combination."""
    return {
        "model": combination.model.name,
        "backbone": combination.backbone.name,
        "augmentation": " + ".join(part.name for part in combination.augmentation),
        "optimizer": combination.optimizer.name,
        **{name: str(combination.settings.get(name)) for name in _SETTINGS},
    }


class Forecast:
    """Seconds of an epoch, learnt from points; without any it foretells nothing."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._points = list(points)
        self._columns: dict[tuple[str, str], int] = {}
        for point in self._points:
            for level in point.levels.items():
                self._columns.setdefault(level, len(self._columns))
        if self._points:
            rows = np.array([self._row(point.levels) for point in self._points])
            logs = np.log([point.seconds for point in self._points])
            self._mean = float(logs.mean())
            square = rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
            self._factors = np.linalg.solve(square, rows.T @ (logs - self._mean))

    def seconds(self, levels: Levels) -> float | None:
        """Of one epoch; None where a level was never measured."""
        if self.missing(levels):
            return None
        return float(np.exp(self._mean + self._row(levels) @ self._factors))

    def missing(self, levels: Levels) -> list[str]:
        """What was never measured, such as ``model htc``."""
        return [f"{name} {value}" for name, value in levels.items() if (name, value) not in self._columns]

    def _row(self, levels: Levels) -> np.ndarray:
        row = np.zeros(len(self._columns))
        row[[self._columns[level] for level in levels.items()]] = 1.0
        return row


def points(trials: Iterable[TrialRecord], device: str, threads: int) -> list[Point]:
    """What trials on a like machine took, of those that trained an epoch at least."""
    return [
        Point(levels(Combination.model_validate(trial.parts)), trial.seconds / epochs, trial.finished_at)
        for trial, epochs in ((trial, trained(trial)) for trial in trials)
        if trial.seconds and epochs and trial.finished_at and not trial.adjusted
        if (trial.versions.get("device"), trial.versions.get("threads")) == (device, str(threads))
    ]


def trained(trial: TrialRecord) -> int:
    """Epochs of a complete trial; of others the store says in each epoch's row alone, and they tell nothing here."""
    return trial.epochs if trial.state == "complete" else 0


def review(forecast: Forecast, trials: Sequence[TrialRecord]) -> Review | None:
    """The forecast of a study's complete trials beside what they took; None where none could be foretold."""
    pairs = [
        (seconds * trained(trial), trial.seconds)
        for trial in trials
        if trial.seconds and trained(trial)
        if (seconds := forecast.seconds(levels(Combination.model_validate(trial.parts)))) is not None
    ]
    if not pairs:
        return None
    foretold, took = (sum(column) / 3600 for column in zip(*pairs, strict=True))
    return Review(len(pairs), foretold, took)
