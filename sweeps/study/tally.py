"""What a study's budget is counted by: running sums, so that nobody reads all trials for every question."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from results.records import TrialRecord, now
from results.rows import finite
from sweeps.study.stagnation import End, Stagnation, stagnation


class Tally:
    """Counts trials.

    Args:
        rows: the trials so far.
        seeds: that a combination is trained with; before all of them have ended its mean says nothing yet.

    Attributes:
        begun: how many trials there are; one that is tried again counts once.
    """

    def __init__(self, rows: Iterable[TrialRecord], seeds: int = 1) -> None:
        self.begun, self._least = 0, seeds
        self._seconds: dict[int, float] = {}
        self._ended: dict[str, set[int]] = defaultdict(set)  # trials of each combination
        self._ends: dict[int, End] = {}  # in the order of their ends
        self._best: float | None = None  # until another trial ends: every question for a trial asks for it
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
        self._ended[row.combination].add(row.number)
        self._best = None
        self._ends.pop(row.number, None)
        if score is not None or row.state == "pruned":  # a failure says nothing about what others can reach
            self._ends[row.number] = End(row.combination, score)

    def stagnation(self, gain: float | None) -> Stagnation:
        """How long the best has not risen; see `sweeps.study.stagnation.stagnation`."""
        return stagnation(self._known(), gain)

    def best(self) -> float:
        """The highest mean of a combination; minus infinity while there is none."""
        if self._best is None:
            scores: dict[str, list[float]] = defaultdict(list)
            for end in self._known():
                if end.score is not None:
                    scores[end.combination].append(end.score)
            self._best = max(map(fmean, scores.values()), default=-math.inf)
        return self._best

    def _known(self) -> list[End]:
        """The ends of combinations of which all seeds have ended."""
        return [one for one in self._ends.values() if len(self._ended[one.combination]) >= self._least]
