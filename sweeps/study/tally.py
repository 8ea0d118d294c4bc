"""What a study's budget is counted by: running sums, so that nobody reads all trials for every question."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import fmean

from results.records import FINAL, TrialRecord, now
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
        self._spent = 0.0  # seconds of trials that have ended
        self._running: dict[int, dict[int, float]] = {}  # those that have not: epoch -> seconds
        found = sorted(rows, key=lambda row: (row.finished_at or now(), row.number))
        self._since, self._before = now(), worked(found)
        for row in found:
            self.begin(row.number)
            if row.state in FINAL:
                self.ended(row)

    def begin(self, number: int) -> None:
        """Counts a trial that begins."""
        self.begun += 1
        self._running[number] = {}

    def report(self, number: int, epoch: int, seconds: float) -> None:
        """Counts an epoch of a trial that has begun; told twice it counts once."""
        if number in self._running:
            self._running[number][epoch] = seconds

    @property
    def seconds(self) -> float:
        """Of training: what was spent, and what the trials that run will have, each as long as one is on average."""
        usual = self._spent / len(self._seconds) if self._seconds else 0.0
        return self._spent + sum(max(usual, sum(epochs.values())) for epochs in self._running.values())

    @property
    def elapsed(self) -> timedelta:
        """Of the clock: since this start, and in earlier ones as long as any trial was trained."""
        return self._before + (now() - self._since)

    def ended(self, row: TrialRecord) -> None:
        """Counts a trial's time and score; told twice it counts once, tried again its new time replaces the old."""
        spent = row.seconds or 0.0
        self._running.pop(row.number, None)
        self._spent += spent - self._seconds.get(row.number, 0.0)
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


def worked(rows: Iterable[TrialRecord]) -> timedelta:
    """How long any of these trials was trained, by the clock; of one that was interrupted its seconds before its end.

    Args:
        rows: of trials, some of which have ended.
    """
    total, covered = timedelta(), datetime.min.replace(tzinfo=now().tzinfo)
    for row in sorted((r for r in rows if r.finished_at and r.seconds), key=_begin):
        assert row.finished_at
        total += max(row.finished_at - max(covered, _begin(row)), timedelta())
        covered = max(covered, row.finished_at)
    return total


def _begin(row: TrialRecord) -> datetime:
    assert row.finished_at
    return row.finished_at - timedelta(seconds=row.seconds or 0.0)
