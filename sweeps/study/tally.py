"""What a study's budget is counted by: running sums, so that nobody reads all trials for every question."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from statistics import fmean

from results.ranking.rows import finite
from results.records import FINAL, Span, TrialRecord, now
from sweeps.study.stagnation import End, Stagnation, stagnation


class Tally:
    """Counts trials.

    Args:
        rows: the trials so far.
        seeds: that a combination is trained with; before all of them have ended its mean says nothing yet.
        spans: when these trials were trained so far.

    Attributes:
        begun: how many trials there are; one that is tried again counts once.
    """

    def __init__(self, rows: Iterable[TrialRecord], seeds: int = 1, spans: Iterable[Span] = ()) -> None:
        self.begun, self._least = 0, seeds
        self._seconds: dict[int, float] = {}
        self._ended: dict[str, set[int]] = defaultdict(set)  # trials of each combination
        self._ends: dict[int, End] = {}  # in the order of their ends
        self._best: float | None = None  # until another trial ends: every question for a trial asks for it
        self._spent, self._took = 0.0, 0  # seconds of trials that have ended, and how many took any
        self._running: dict[int, dict[int, float]] = {}  # those that have not: epoch -> seconds
        for row in sorted(rows, key=lambda row: (row.finished_at or now(), row.number)):
            self.begin(row.number)
            if row.state in FINAL:
                self.ended(row)
        leased = list(spans)
        self._since = now()
        self._trained = {one.trial for one in leased if one.ended is None}
        self._before = worked((one.begun, one.ended or self._since) for one in leased)

    def begin(self, number: int) -> None:
        """Counts a trial that begins."""
        self.begun += 1
        self._running[number] = {}

    def again(self, number: int) -> None:
        """A trial that has ended will run once more; it does not count twice."""
        self._running.setdefault(number, {})

    def train(self, number: int) -> None:
        """A worker has the trial."""
        if not self._trained:
            self._since = now()
        self._trained.add(number)

    def rest(self, number: int) -> None:
        """Nobody has the trial any more."""
        if number in self._trained:
            elapsed = self.elapsed
            self._trained.remove(number)
            if not self._trained:
                self._before = elapsed

    def report(self, number: int, epoch: int, seconds: float) -> None:
        """Counts an epoch of a trial that has begun; told twice it counts once."""
        if number in self._running:
            self._running[number][epoch] = seconds

    @property
    def seconds(self) -> float:
        """Of training: what was spent, and what the trials that run will have, each as long as one is on average."""
        usual = self._spent / self._took if self._took else 0.0  # what failed at once says nothing
        return self._spent + sum(max(usual, sum(epochs.values())) for epochs in self._running.values())

    @property
    def elapsed(self) -> timedelta:
        """Of the clock: as long as any trial was trained, in earlier starts as well."""
        return self._before + (now() - self._since if self._trained else timedelta())

    def ended(self, row: TrialRecord) -> None:
        """Counts a trial's time and score; told twice it counts once, tried again its new time replaces the old."""
        spent = row.seconds or 0.0
        self._running.pop(row.number, None)
        before = self._seconds.get(row.number, 0.0)
        self._spent, self._took = self._spent + spent - before, self._took + bool(spent) - bool(before)
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


def worked(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """How long the clock ran in any of these spans."""
    total, covered = timedelta(), datetime.min.replace(tzinfo=UTC)
    for begun, ended in sorted(spans):
        total += max(timedelta(), ended - max(begun, covered))
        covered = max(covered, ended)
    return total
