"""Trainings that never were: evidence made from a model of detectors, with a truth that is known.

What it assumes. An image has a difficulty of its own and 1 + Poisson(11) particles, each with a difficulty of its own:
both are the same for every training, which is why pairing helps. A training has a quality, made of its combination's
and its seed's; how well it sees a particle is quality minus difficulties plus noise of its own. From that come the
overlap of its mask with the truth, the detection's score, and whether it is found at all. False detections are
Poisson(4) an image, most with low scores. No two of them touch, so that matching is not a question.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from results.statistics.perimage import Evidence

THRESHOLDS = np.round(np.linspace(0.5, 0.95, 10), 10)


@dataclass(frozen=True)
class Images:
    """A validation set.

    Attributes:
        image: of each particle, (particles,).
        hardness: of each particle, its image's included, (particles,).
    """

    count: int
    image: np.ndarray
    hardness: np.ndarray


def images(rng: np.random.Generator, count: int = 50) -> Images:
    particles = 1 + rng.poisson(11, count)
    image = np.repeat(np.arange(count), particles)
    return Images(count, image, 0.35 * rng.standard_normal(count)[image] + 0.7 * rng.standard_normal(len(image)))


def training(rng: np.random.Generator, images: Images, quality: float) -> Evidence:
    """What a training of that quality leaves of those images."""
    seen = quality - images.hardness + 0.4 * rng.standard_normal(len(images.image))
    overlap = 1 / (1 + np.exp(-1.2 - 0.8 * seen))
    found = seen > -1.6
    scores = 1 / (1 + np.exp(-1.5 * seen - 1 + 0.7 * rng.standard_normal(len(seen))))
    false = rng.poisson(4, images.count)
    image = np.concatenate([images.image[found], np.repeat(np.arange(images.count), false)])
    score = np.concatenate([scores[found], 1 / (1 + np.exp(1.2 + 0.15 * quality + rng.standard_normal(false.sum())))])
    overlap = np.concatenate([overlap[found], np.zeros(false.sum())])
    order = np.lexsort((-score, image))
    matched = overlap[order] >= THRESHOLDS[:, None]
    return Evidence(
        kind="segm", cap=100, thresholds=THRESHOLDS, sizes=("all",), images=np.arange(images.count),
        truths=np.bincount(images.image, minlength=images.count)[None, None], scores=score[order],
        found=np.bincount(image, minlength=images.count)[None],
        matched=matched[None], ignored=np.zeros_like(matched)[None],
    )  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Quality against the expected score on validation sets of one size."""

    qualities: np.ndarray
    scores: np.ndarray

    @classmethod
    def measured(cls, count: int, seed_noise: float, sets: int = 150, seed: int = 0) -> Scale:
        """Measured on many validation sets, the same for every quality; seeds vary quality by `seed_noise`."""
        qualities = np.linspace(-0.2, 1.0, 9)
        total = np.zeros(len(qualities))
        for one in range(sets):
            for k, quality in enumerate(qualities):
                rng = np.random.default_rng([seed, one])
                shown = images(rng, count)
                total[k] += training(rng, shown, quality + seed_noise * rng.standard_normal()).figure("segm_mAP") or 0
        return cls(qualities, total / sets)

    def quality(self, score: float) -> float:
        """The quality whose expected score this is."""
        return float(np.interp(score, self.scores, self.qualities))
