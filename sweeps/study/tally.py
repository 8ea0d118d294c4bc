"""What a study's budget is counted by: running sums, so that nobody reads all trials for every question."""

from __future__ import annotations

import math
from collections.abc import Iterable

from results.records import TrialRecord, now
from results.rows import finite
from sweeps.study.stagnation import End, Stagnation, stagnation


class Tally:
    """Counts trials.

    Args:
        rows: the trials so far.

    Attributes:
        begun: how many trials there are; one that is tried again counts once.
        best: the highest score of a complete trial.
    """

    def __init__(self, rows: Iterable[TrialRecord]) -> None:
        self.begun, self.best = 0, -math.inf
        self._seconds: dict[int, float] = {}
        self._ends: dict[int, End] = {}  # in the order of their ends
        self.seconds = 0.0
        for row in sorted(rows, key=lambda row: (row.finished_at or now(), row.number)):
            self.begun += 1
            self.ended(row)

    def ended(self, row: TrialRecord) -> None:
        """Counts a trial's time and score; told twice it counts once, tried again its new time replaces the old."""
        spent = row.seconds or 0.0
        self.seconds += spent - self._seconds.get(row.number, 0.0)
        self._seconds[row.number] = spent
        score = finite(row.score) if row.state == "complete" else None
        if score is not None:
            self.best = max(self.best, score)
        self._ends.pop(row.number, None)
        if score is not None or row.state == "pruned":  # a failure says nothing about what others can reach
            self._ends[row.number] = End(row.combination, score)

    def stagnation(self, gain: float | None) -> Stagnation:
        """How long the best has not risen; see `sweeps.study.stagnation.stagnation`."""
        return stagnation(list(self._ends.values()), gain)
