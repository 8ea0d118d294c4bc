"""Two trials or combinations against each other: the paired difference, where it comes from, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from results.errors import ResultsError
from results.ranking.rows import finite
from results.ranking.standings import Standing, runs_of, stand, unpacked
from results.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from results.statistics.confidence import Estimate
    from results.statistics.perimage import Evidence

_SIZES = {"small": "_s", "medium": "_m", "large": "_l"}


@dataclass(frozen=True)
class Part:
    """The difference in one figure.

    Attributes:
        name: of the figure.
        a, b: means over the seeds.
        low, high: 95 % interval of a - b.
        covers: what the interval is over.
    """

    name: str
    a: float
    b: float
    low: float
    high: float
    covers: str


@dataclass(frozen=True)
class Image:
    """What an image does to the difference.

    Attributes:
        id: in the label file.
        a, b: the figure on this image alone, mean over the seeds; None where it has no truth.
        moves: the difference minus what it is without this image; above 0 it speaks for a.
    """

    id: int
    a: float | None
    b: float | None
    moves: float


@dataclass(frozen=True)
class Comparison:
    """A against B.

    Attributes:
        objective: the figure that is compared.
        a, b: what is compared, with its trials.
        difference: a - b over all images.
        low, high: its 95 % interval.
        probability: that a is better.
        noise: standard deviation between seeds, None where it is not known: then the interval is over images only.
        images: how many there are.
        parts: the objective by size of the objects.
        moved: every image, the one that moved the difference most first.
    """

    objective: str
    a: Standing
    b: Standing
    difference: float
    low: float
    high: float
    probability: float
    noise: float | None
    images: int
    parts: tuple[Part, ...]
    moved: tuple[Image, ...]

    @property
    def verdict(self) -> str:
        """What may be said, in one line; nobody wins by one seed alone."""
        if self.noise is None:
            return (
                "one seed each says nothing about the next one: train both with more seeds (repeats: 3), "
                "or give --seed-noise"
            )
        from results.statistics.confidence import LEVEL

        sure = max(self.probability, 1 - self.probability)
        if sure >= LEVEL:
            return f"{'A beats B' if self.probability > 0.5 else 'B beats A'}: with probability {sure:.3f}"
        return f"not told apart: the better one is so with probability {sure:.3f}, less than {LEVEL}"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "objective": self.objective,
            "a": self.a.document(),
            "b": self.b.document(),
            "difference": self.difference,
            "interval": [self.low, self.high],
            "probability": self.probability,
            "covers": "images" if self.noise is None else "images and seeds",
            "seed_noise": self.noise,
            "verdict": self.verdict,
            "sizes": [vars(part) for part in self.parts],
            "images": [vars(image) for image in self.moved],
        }


def compare(
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    evidence: Callable[[Sequence[int]], Mapping[int, bytes]],
    names: tuple[str, str],
    seed_noise: float | None = None,
    runs: bool = False,
) -> Comparison:
    """Compares two combinations, each with all its seeds.

    Args:
        study: whose objective counts.
        trials: all of it; the noise between seeds is learnt from them.
        evidence: what the trials of these numbers have kept (`Reader.evidence`).
        names: of A and B: eight hex digits, or the number of any trial of it.
        seed_noise: standard deviation between seeds, where it is known from elsewhere.
        runs: whether a number means that trial alone; two trials of one combination always do.

    Raises:
        ResultsError: there is no such trial or combination, both share a trial, or one has kept nothing of its images.
    """
    import numpy as np

    from results.statistics import confidence, seednoise

    a, b = (_named(name, trials, runs) for name in names)
    if a.combination == b.combination:
        a, b = (_named(name, trials, True) for name in names)
    if set(a.trials) & set(b.trials):
        raise ResultsError(f"{names[0]} and {names[1]} share a training; name two combinations, or two trials of one")
    scores = {trial.number: float(trial.score) for trial in trials if trial.score is not None}
    numbers = [*a.trials, *b.trials]
    found, notes = unpacked(evidence(numbers), study.objective, scores)
    missing = [number for number in numbers if number not in found]
    if missing:
        why = next((note for note in notes if note.startswith(f"trial {missing[0]} ")), "")
        raise ResultsError(why or f"trial {missing[0]} kept nothing of its images: it was trained by an older version")
    groups = [np.array([scores[n] for n in one.trials]) for one in stand(trials).standings]
    noise = seednoise.given(seed_noise) if seed_noise is not None else seednoise.learnt(groups)
    images = len(found[numbers[0]].images)
    ours, theirs = runs_of(study.objective, [a, b], found, scores)
    difference = confidence.difference(ours, theirs, noise, images)
    low, high = difference.interval()
    return Comparison(
        study.objective, a, b, difference.value, low, high, difference.chance,
        noise.deviation if noise else None, images,
        _parts(study.objective, a, b, found, noise is not None), _moved(study.objective, a, b, found),
    )  # fmt: skip


def _named(name: str, trials: Sequence[TrialRecord], runs: bool) -> Standing:
    """The combination of that name, or that of the trial of that number (with `runs`: this trial alone)."""
    known = stand(trials)
    if found := known.of(name.lower()):
        return found
    trial = next((trial for trial in trials if name.isdecimal() and trial.number == int(name)), None)
    if trial is None:
        raise ResultsError(f"there is no trial and no combination {name}; sweep rank --format json lists both")
    score = finite(trial.score)
    if trial.state != "complete" or score is None:
        raise ResultsError(f"trial {name} is {trial.state}: only complete ones can be compared")
    alone = Standing(trial.combination, (trial.number,), 1, score, 1, None)
    return alone if runs else known.of(trial.combination) or alone


def _parts(
    objective: str, a: Standing, b: Standing, evidence: Mapping[int, Evidence], seeds_known: bool
) -> tuple[Part, ...]:
    """The objective over objects of one size, for COCO's own mean over thresholds."""
    kind = objective.split("_", 1)[0]
    parts = []
    for size, ending in _SIZES.items():
        name = f"{kind}_mAP{ending}"
        figures = {n: evidence[n].figure(name) for n in (*a.trials, *b.trials) if size in evidence[n].sizes}
        known = {n: value for n, value in figures.items() if value is not None}
        if len(known) == len({*a.trials, *b.trials}):
            estimate = _learnt(name, a, b, evidence, known, seeds_known)
            low, high = estimate.interval()
            ours, theirs = (sum(known[n] for n in one.trials) / one.seeds for one in (a, b))
            covers = "images and seeds" if estimate.seeds_known else "images"
            parts.append(Part(name, ours, theirs, low, high, covers))
    return tuple(parts)


def _learnt(
    name: str,
    a: Standing,
    b: Standing,
    evidence: Mapping[int, Evidence],
    figures: Mapping[int, float],
    seeds_known: bool,
) -> Estimate:
    """A figure's difference; its noise between seeds is that of these two alone, for others have not been read."""
    from results.statistics import confidence, seednoise

    ours, theirs = runs_of(name, [a, b], evidence, figures)
    noise = seednoise.learnt([ours.scores, theirs.scores]) if seeds_known else None
    return confidence.difference(ours, theirs, noise, len(evidence[a.trials[0]].images))


def _moved(objective: str, a: Standing, b: Standing, evidence: Mapping[int, Evidence]) -> tuple[Image, ...]:
    """Each image left out once, and each alone."""
    import numpy as np

    images = evidence[a.trials[0]].images
    alone = np.eye(len(images), dtype=np.int64)
    left_out, single = [], []
    for one in (a, b):
        runs = [evidence[n].replicates(objective, np.concatenate([1 - alone, alone])) for n in one.trials]
        without, by_itself = np.split(np.mean(runs, axis=0), 2)
        whole = np.mean([evidence[n].figure(objective) for n in one.trials])
        left_out.append(whole - without)
        single.append(by_itself)
    moves = np.nan_to_num(left_out[0] - left_out[1])
    return tuple(
        Image(int(images[i]), finite(float(single[0][i])), finite(float(single[1][i])), float(moves[i]))
        for i in np.argsort(-np.abs(moves), kind="stable").tolist()
    )
