"""Combinations by their mean over seeds, and how sure that is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from results.errors import ResultsError
from results.ranking.rows import finite
from results.records import StudyRecord, TrialRecord

if TYPE_CHECKING:  # numpy and scipy are loaded only where there is evidence to weigh
    import numpy as np

    from results.statistics.confidence import Runs
    from results.statistics.perimage import Evidence

MOST = 50  # combinations that are compared with each other, the best ones
_AGREES = 1e-9  # evidence of another epoch gives another score


@dataclass(frozen=True)
class Standing:
    """A combination of which at least one trial is complete.

    Attributes:
        trials: the numbers of its complete trials.
        rank: by mean, 1 is best; equal means share it.
        mean: of their scores.
        seeds: how many there are.
        deviation: standard deviation between them, None with one.
        interval: 95 %, None without evidence.
        covers: what the interval is over.
        group: the places it may have: (2, 4) is not told apart from two others.
        beats: combinations it is told apart from and better than.
    """

    combination: str
    trials: tuple[int, ...]
    rank: int
    mean: float
    seeds: int
    deviation: float | None
    interval: tuple[float, float] | None = None
    covers: str | None = None
    group: tuple[int, int] | None = None
    beats: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "combination": self.combination,
            "rank": self.rank,
            "mean": self.mean,
            "seeds": self.seeds,
            "deviation": self.deviation,
            "interval": list(self.interval) if self.interval else None,
            "covers": self.covers,
            "group": list(self.group) if self.group else None,
            "beats": list(self.beats),
            "trials": list(self.trials),
        }


@dataclass(frozen=True)
class Standings:
    """All combinations in order.

    Attributes:
        images: over how many the intervals are, 0 where there is no evidence.
        noise: standard deviation between seeds, None where it is not known.
        freedom: of its estimate; None where it was given.
        notes: what a reader should know.
    """

    standings: tuple[Standing, ...]
    images: int = 0
    noise: float | None = None
    freedom: float | None = None
    notes: tuple[str, ...] = ()

    def of(self, combination: str) -> Standing | None:
        """The standing of a combination."""
        return self._by_combination.get(combination)

    @cached_property
    def _by_combination(self) -> dict[str, Standing]:
        return {one.combination: one for one in self.standings}

    @property
    def repeated(self) -> bool:
        """Whether a combination has several complete trials."""
        return any(one.seeds > 1 for one in self.standings)


def stand(trials: Sequence[TrialRecord]) -> Standings:
    """Combinations by mean, without intervals."""
    by_combination: dict[str, list[TrialRecord]] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.state == "complete" and finite(trial.score) is not None:
            by_combination.setdefault(trial.combination, []).append(trial)
    found: list[Standing] = []
    for name, runs in by_combination.items():
        scores = [float(run.score) for run in runs if run.score is not None]
        spread = stdev(scores) if len(scores) > 1 else None
        found.append(Standing(name, tuple(run.number for run in runs), 1, fmean(scores), len(scores), spread))
    found.sort(key=lambda one: (-one.mean, one.trials))
    for place, one in enumerate(found):
        shared = place > 0 and found[place - 1].mean == one.mean
        found[place] = replace(one, rank=found[place - 1].rank if shared else place + 1)
    return Standings(tuple(found))


def judge(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    evidence: Callable[[Sequence[int]], Mapping[int, bytes]],
    seed_noise: float | None = None,
) -> Standings:
    """Combinations by mean, with intervals and what is told apart, as far as the trials left evidence.

    Args:
        study: whose objective counts.
        trials: all of it.
        evidence: what the trials of these numbers have kept (`Reader.evidence`).
        seed_noise: standard deviation between seeds, where it is known from elsewhere.
    """
    plain = stand(trials)
    scores = {trial.number: float(trial.score) for trial in trials if trial.score is not None}
    blobs = evidence([number for one in plain.standings[:MOST] for number in one.trials])
    if not blobs:
        return plain
    found, notes = unpacked(blobs, study.objective, scores)
    whole = [one for one in plain.standings[:MOST] if all(number in found for number in one.trials)]
    if not whole:
        return replace(plain, notes=tuple(notes))
    return _weighed(study.objective, plain, whole, found, scores, seed_noise, notes)


def unpacked(
    blobs: Mapping[int, bytes], objective: str, scores: Mapping[int, float]
) -> tuple[dict[int, Evidence], list[str]]:
    """The evidence of trials that can be compared, by trial, and a line for each that cannot."""
    from results.statistics.evidence import unpack

    found: dict[int, Evidence] = {}
    notes = []
    for number, blob in sorted(blobs.items()):
        try:
            one = unpack(blob)
            figure = one.figure(objective)
        except ResultsError as error:
            notes.append(f"trial {number} has no interval: {error}")
            continue
        first = next(iter(found.values()), one)
        if figure is None or abs(figure - scores[number]) > _AGREES:
            notes.append(f"trial {number} has no interval: what it kept of its images is of another score")
        elif len(one.images) != len(first.images) or (one.images != first.images).any():
            notes.append(f"trial {number} has no interval: it was validated on other images")
        else:
            found[number] = one
    return found, notes


def runs_of(
    objective: str, standings: Sequence[Standing], evidence: Mapping[int, Evidence], scores: Mapping[int, float]
) -> list[Runs]:
    """The scores of each combination, and what they are on the common choices of images."""
    import numpy as np

    from results.statistics.confidence import Runs, choices

    images = len(next(iter(evidence.values())).images)
    numbers = [number for one in standings for number in one.trials]
    taken = choices(images)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        work = partial(_replicates, objective, taken)
        replicates = dict(zip(numbers, pool.map(work, [evidence[number] for number in numbers]), strict=True))
    return [
        Runs(np.array([scores[n] for n in one.trials]), np.stack([replicates[n] for n in one.trials]))
        for one in standings
    ]


def _replicates(objective: str, taken: np.ndarray, evidence: Evidence) -> np.ndarray:
    return evidence.replicates(objective, taken)


def _weighed(
    objective: str,
    plain: Standings,
    whole: Sequence[Standing],
    evidence: Mapping[int, Evidence],
    scores: Mapping[int, float],
    seed_noise: float | None,
    notes: list[str],
) -> Standings:
    import numpy as np

    from results.statistics import confidence, seednoise

    all_scores = [np.array([scores[n] for n in one.trials]) for one in plain.standings]
    noise = seednoise.given(seed_noise) if seed_noise is not None else seednoise.learnt(all_scores)
    images = len(next(iter(evidence.values())).images)
    runs = runs_of(objective, whole, evidence, scores)
    better = confidence.beats(runs, noise, images)
    groups = confidence.places(better)
    judged: dict[str, Standing] = {}
    for i, one in enumerate(whole):
        low, high = confidence.mean(runs[i], noise, images).interval()
        judged[one.combination] = replace(
            one,
            interval=(max(0.0, low), min(1.0, high)),
            covers="images" if noise is None else "images and seeds",
            group=groups[i] if noise is not None else None,
            beats=tuple(whole[j].combination for j in np.flatnonzero(better[i]).tolist()),
        )
    left = len(plain.standings) - len(whole)
    if left:
        notes.append(f"{left} of {len(plain.standings)} combinations were not compared")
    return Standings(
        tuple(judged.get(one.combination, one) for one in plain.standings),
        images,
        noise.deviation if noise else None,
        noise.freedom if noise and seed_noise is None else None,
        tuple(notes),
    )
