"""What a study will take, from what like trainings took: pure, reads no database and no clock.

The seconds of an epoch are taken as a product of factors, one for each part and setting that moves them (model,
backbone, augmentation, optimizer, sizes): least squares on their logarithms. Numbers inside a part, such as learning
rates, are not looked at. A size, share or number of images between two that were measured follows a power law between
them. What was never measured cannot be foretold, and is named instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from results.records import TrialRecord
from runner.protocol import Combination
from runner.share import share_of

_SETTINGS = ("image_size", "batch_size", "accumulate", "amp", "ema")
COUNTED = ("image_size", "batch_size", "accumulate", "train_share")  # numbers, of which there may be many
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
        "train_share": str(share_of(combination)),
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
        """Of one epoch; None where something is missing."""
        if self.missing(levels):
            return None
        return float(np.exp(self._mean + self._row(levels) @ self._factors))

    def missing(self, levels: Levels, exact: bool = False) -> list[str]:
        """What was never measured, such as ``model htc``; `exact`: nor is between two that were."""
        known = self._columns.__contains__ if exact else self._shares
        return [f"{name} {value}" for name, value in levels.items() if not known((name, value))]

    def _row(self, levels: Levels) -> np.ndarray:
        row = np.zeros(len(self._columns))
        for level in levels.items():
            for column, share in self._shares(level).items():
                row[column] = share
        return row

    def _shares(self, level: tuple[str, str]) -> dict[int, float]:
        """The columns whose factors make a level's: its own, else those of the next smaller and the next larger one."""
        if level in self._columns:
            return {self._columns[level]: 1.0}
        number = _number(*level)
        if number is None:
            return {}
        measured = [
            (_number(name, value), column) for (name, value), column in self._columns.items() if name == level[0]
        ]
        around = [(other, column) for other, column in measured if other is not None]
        below = max((one for one in around if one[0] < number), default=None)
        above = min((one for one in around if one[0] > number), default=None)
        if below is None or above is None:
            return {}
        share = math.log(number / below[0]) / math.log(above[0] / below[0])
        return {below[1]: 1 - share, above[1]: share}


def _number(name: str, value: str) -> float | None:
    """A level as a number above 0, an image size by its pixels; None where it is none."""
    if name not in COUNTED or value == "None":
        return None
    found = json.loads(value)
    return float(math.prod(found) if isinstance(found, list) else found)


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
