"""``repeats: {most: n}``: further seeds where places are close, instead of as many for all.

Each combination is trained with one seed. After that a seed goes, one by one, to a combination whose interval overlaps
the leader's, until that of none does or all of them have `most`. Which of them is next is decided as by OCBA with one
noise for all (Chen, Lin, Yücesan & Chick 2000, "Simulation budget allocation for further enhancing the efficiency of
ordinal optimization", Discrete Event Dynamic Systems 10:251-270): runs in proportion to 1 / gap^2, the leader's the
root of the sum of the others' squares; the one that lacks most of its share comes first (Chen & Lee 2011, *Stochastic
Simulation Optimization*, "most starving"). The noise between seeds is the pooled one of `results.statistics.seednoise`;
the images do not count here, for no seed makes their error smaller.

What was trained and how it ended decides alone, so a restart goes on where it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from results.records import TrialRecord
from sweeps.space.exclusion import Assignment
from sweeps.space.schema import Choice, SearchSpace

SHARE = 1 / 3  # of a sampler's trials that are kept for further seeds
_LEVEL = 0.95
_FREEDOM = 3  # degrees of freedom without which the noise leaves nobody out: two runs may be alike by chance
_LEAST = 1e-4  # gaps below are one gap: a hundredth of a point


@dataclass
class _Group:
    """A combination.

    Attributes:
        assignment: one of its.
        seeds: that were begun.
        scores: of its complete trials.
    """

    assignment: Assignment
    seeds: set[Any] = field(default_factory=set)
    scores: dict[int, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return fmean(self.scores.values())


class Repeating:
    """Which combination gets the next seed.

    Args:
        space: one that repeats adaptively; its seeds are a choice of its search.
        past: the study's trials so far.
    """

    def __init__(self, space: SearchSpace, past: Iterable[TrialRecord]) -> None:
        form = space.search["seed"]
        assert isinstance(form, Choice)
        self._seeds, self._space = form.labels, space
        self._groups: dict[str, _Group] = {}
        self._known: tuple[Assignment | None] | None = None  # the answer, until something happens
        for row in past:
            self.begun(row.optuna_params)
            self.ended(row)

    @property
    def due(self) -> bool:
        """Whether a sampler has tried as many combinations as its budget leaves beside further seeds."""
        trials = self._space.budget.trials
        return trials is not None and len(self._groups) >= trials - math.floor(trials * SHARE)

    def begun(self, assignment: Assignment) -> None:
        """A trial runs, or is about to."""
        self._group(assignment).seeds.add(assignment["seed"])
        self._known = None

    def ended(self, row: TrialRecord) -> None:
        """A trial has ended; one without a score says nothing."""
        if row.state == "complete" and row.score is not None:
            self._group(row.optuna_params).scores[row.number] = row.score
        self._known = None

    def next(self) -> Assignment | None:
        """A combination with its next seed; None where nothing (more) can be told apart by seeds."""
        if self._known is None:
            found = self._next()
            self._known = (self._with_seed(found) if found else None,)
        return self._known[0]

    def _group(self, assignment: Assignment) -> _Group:
        rest = {name: value for name, value in assignment.items() if name != "seed"}
        return self._groups.setdefault(json.dumps(rest, sort_keys=True), _Group(assignment))

    def _with_seed(self, group: _Group) -> Assignment:
        seed = next(seed for seed in self._seeds if seed not in group.seeds)
        return {**group.assignment, "seed": seed}

    def _next(self) -> _Group | None:
        scored = sorted((one for one in self._groups.values() if one.scores), key=lambda one: -one.mean)
        close = self._close(scored)
        free = [one for one in close if len(one.seeds) < len(self._seeds)]
        if len(close) < 2 or not free:
            return None
        leader, rivals = close[0], close[1:]
        if leader in free and len(leader.seeds) <= math.sqrt(sum(len(one.seeds) ** 2 for one in rivals)):
            return leader
        gaps = {id(one): max(leader.mean - one.mean, _LEAST) for one in rivals}
        waiting = [one for one in rivals if one in free]
        return min(waiting, key=lambda one: len(one.seeds) * gaps[id(one)] ** 2) if waiting else leader

    def _close(self, scored: list[_Group]) -> list[_Group]:
        """The leader, and those whose interval overlaps its own; all contenders while little is known of the noise."""
        import numpy as np
        from scipy.special import stdtrit

        from results.statistics import seednoise

        noise = seednoise.learnt([np.array(list(one.scores.values())) for one in scored])
        if noise is None or noise.freedom < _FREEDOM:
            return [one for one in scored if one.mean >= seednoise.CONTENDS * scored[0].mean]
        reach = float(stdtrit(noise.freedom, (1 + _LEVEL) / 2)) * noise.deviation

        def half(one: _Group) -> float:
            return reach / math.sqrt(len(one.scores))

        lowest = scored[0].mean - half(scored[0])
        return [one for one in scored if one.mean + half(one) >= lowest]
