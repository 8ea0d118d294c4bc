"""A winner and a baseline on images that no trial and no ranking ever saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from results.errors import ResultsError
from results.ranking.standings import Standing, runs_of
from results.records import HeldRecord, TrialRecord

if TYPE_CHECKING:
    from results.statistics.confidence import Runs
    from results.statistics.perimage import Evidence
    from results.statistics.seednoise import SeedNoise


@dataclass(frozen=True)
class Contender:
    """A combination that is looked at.

    Attributes:
        promised: what the ranking said when it was chosen.
        fresh: mean validation score of the seeds that had no part in the choice, None without any.
        trials: number -> its score on the held-out images.
    """

    combination: str
    promised: float
    fresh: float | None
    trials: Mapping[int, HeldRecord]


@dataclass(frozen=True)
class Side:
    """A combination on the held-out images.

    Attributes:
        trials: whose checkpoints were scored.
        mean: over them.
        low, high: its 95 % interval.
        promised: what the ranking said when it was chosen.
        fresh: mean validation score of the seeds that had no part in the choice, None without any.
    """

    combination: str
    trials: tuple[int, ...]
    mean: float
    low: float
    high: float
    promised: float
    fresh: float | None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        found = asdict(self) | {"interval": [self.low, self.high], "promised_too_much": self.promised - self.mean}
        for gone in ("low", "high"):
            del found[gone]
        return found


@dataclass(frozen=True)
class Outcome:
    """What the held-out images say.

    Attributes:
        images: how many.
        winner, baseline: the same where the baseline won.
        difference: winner - baseline, with its 95 % interval; None where they are the same.
        noise: standard deviation between seeds that the intervals hold; None where they are over images only.
        looks: combinations of the study that were ever scored there.
    """

    objective: str
    images: int
    winner: Side
    baseline: Side
    difference: tuple[float, float, float] | None
    noise: float | None
    looks: int

    @property
    def verdict(self) -> str:
        """What may be said, in one line."""
        if self.difference is None:
            return "the baseline is the winner: nothing that was confirmed is better"
        _, low, high = self.difference
        over = "" if self.noise is not None else ", over images only: with one seed each nothing is known of the next"
        if low > 0 and self.noise is not None:
            return "the winner beats the baseline: the interval excludes 0"
        if high < 0 and self.noise is not None:
            return "the baseline beats the winner: the interval excludes 0"
        return f"not told apart: the interval {'includes' if low <= 0 <= high else 'excludes'} 0{over}"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        gap = self.difference
        return {
            "objective": self.objective,
            "images": self.images,
            "winner": self.winner.document(),
            "baseline": self.baseline.document(),
            "difference": gap[0] if gap else None,
            "interval": list(gap[1:]) if gap else None,
            "promised_difference": self.winner.promised - self.baseline.promised if gap else None,
            "covers": "images" if self.noise is None else "images and seeds",
            "seed_noise": self.noise,
            "verdict": self.verdict,
            "looks": self.looks,
        }


def compared(
    objective: str,
    winner: Contender,
    baseline: Contender,
    looks: int,
    validation_noise: Callable[[], SeedNoise | None],
) -> Outcome:
    """What the images say of the two, which may be the same.

    Intervals are those of `results.statistics.confidence`. The noise between seeds is that of the scores on these very
    images; with one seed of each it is the one of the validation scores, if that is known.

    Args:
        objective: the figure that counts.
        winner, baseline: each with one score or more.
        looks: combinations that were ever scored there.
        validation_noise: between seeds, asked only where these scores tell nothing of it.

    Raises:
        ResultsError: a score lacks its figure or its evidence.
    """
    from results.statistics import confidence, seednoise
    from results.statistics.evidence import unpack

    sides = [winner] if winner.combination == baseline.combination else [winner, baseline]
    evidence: dict[int, Evidence] = {}
    scores: dict[int, float] = {}
    standings = []
    for side in sides:
        places = []
        for number, held in side.trials.items():
            score = held.metrics.get(objective)
            if score is None or held.evidence is None:
                raise ResultsError(
                    f"trial {number} has no {objective} on the held-out images: they have no such objects"
                )
            place = len(scores)  # trials of two studies may have one number
            evidence[place], scores[place] = unpack(held.evidence), score
            places.append(place)
        standings.append(Standing(side.combination, tuple(places), 1, 0.0, 1, None))
    runs = runs_of(objective, standings, evidence, scores)
    noise = seednoise.learnt([one.scores for one in runs]) or validation_noise()
    images = len(evidence[0].images)
    shown = [_side(side, one, noise, images) for side, one in zip(sides, runs, strict=True)]
    gap = confidence.difference(runs[0], runs[1], noise, images) if len(runs) == 2 else None
    return Outcome(
        objective, images, shown[0], shown[-1],
        (gap.value, *gap.interval()) if gap else None, noise.deviation if noise else None, looks,
    )  # fmt: skip


def _side(side: Contender, runs: Runs, noise: SeedNoise | None, images: int) -> Side:
    from results.statistics import confidence

    low, high = confidence.mean(runs, noise, images).interval()
    return Side(
        side.combination, tuple(side.trials), runs.mean, max(0.0, low), min(1.0, high), side.promised, side.fresh
    )


def seed_noise(studies: Sequence[tuple[Sequence[TrialRecord], Sequence[Standing]]]) -> SeedNoise | None:
    """The noise between seeds of validation scores, from all that was repeated; None where nothing was.

    A combination that several studies trained with the same seed counts once: it is the same training.

    Args:
        studies: the trials of each, and its combinations.
    """
    scores: dict[str, dict[int, float]] = defaultdict(dict)  # of each combination, by seed
    for trials, standings in studies:
        placed = {number for one in standings for number in one.trials}
        for one in trials:
            if one.number in placed and one.score is not None:
                scores[one.combination].setdefault(one.seed, float(one.score))
    if all(len(by_seed) < 2 for by_seed in scores.values()):
        return None
    import numpy as np

    from results.statistics import seednoise

    return seednoise.learnt([np.array(list(by_seed.values())) for by_seed in scores.values()])
