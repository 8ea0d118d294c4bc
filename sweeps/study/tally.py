"""What a study's budget is counted by: running sums, so that nobody reads all trials for every question."""

from __future__ import annotations

import math
from collections.abc import Iterable

from results.records import TrialRecord


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
        self.seconds = 0.0
        for row in rows:
            self.begun += 1
            self.ended(row)

    def ended(self, row: TrialRecord) -> None:
        """Counts a trial's time and score; told twice it counts once, tried again its new time replaces the old."""
        spent = row.seconds or 0.0
        self.seconds += spent - self._seconds.get(row.number, 0.0)
        self._seconds[row.number] = spent
        if row.state == "complete" and row.score is not None:
            self.best = max(self.best, row.score)
