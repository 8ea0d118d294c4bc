"""A trial's figures again, for any choice of validation images, each any number of times.

What a trial keeps of each image (``runner.training.evidence`` packs it, `results.statistics.evidence` reads it) is
accumulated exactly as COCO does: detections of all images sorted by score, precision made to fall, read at 101 recalls
(Lin et al. 2014, arXiv:1405.0312, and pycocotools' ``COCOeval.accumulate``). An image taken w times counts as w images.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from results.errors import ResultsError

_RECALLS = np.linspace(0.0, 1.0, 101)
_SIZES = {"mAP_s": "small", "mAP_m": "medium", "mAP_l": "large"}


@dataclass(frozen=True)
class Evidence:
    """What each validation image contributed.

    Attributes:
        kind: ``segm`` or ``bbox``.
        cap: most detections an image that count.
        thresholds: IoU, (thresholds,).
        sizes: names of the ranges of area.
        images: ids, (images,).
        truths: how many count, (classes, sizes, images).
        found: number of detections, (classes, images).
        scores: of all detections by class, image, falling, (n,).
        matched, ignored: flags, (sizes, thresholds, n).
    """

    kind: str
    cap: int
    thresholds: np.ndarray
    sizes: tuple[str, ...]
    images: np.ndarray
    truths: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray

    def only(self, chosen: np.ndarray) -> Evidence:
        """Of some of the images, by their places, rising."""
        taken = np.zeros(len(self.images), bool)
        taken[chosen] = True
        kept = np.concatenate([np.repeat(taken, found) for found in self.found])
        return replace(
            self, images=self.images[chosen], truths=self.truths[..., chosen], found=self.found[:, chosen],
            scores=self.scores[kept], matched=self.matched[..., kept], ignored=self.ignored[..., kept],
        )  # fmt: skip

    def figure(self, metric: str, weights: np.ndarray | None = None) -> float | None:
        """A figure by its name, None where COCO gives none: summed in COCO's order, so equal to the last digit.

        Args:
            metric: ``segm_mAP``, ``segm_mAP_50``, ``segm_mAP_s``, ``segm_mAP@0.3:0.6``.
            weights: how often each image counts, (images,); None is once each.

        Raises:
            ResultsError: the evidence does not hold that figure.
        """
        taken = np.ones(len(self.images), np.int64) if weights is None else np.asarray(weights, np.int64)
        columns = [np.stack([c.precision(taken) for c in one]) for one in self.curves(metric) if one[0].count(taken)]
        if not columns:
            return None
        # thresholds x recalls x classes, as the mean of COCO's own array is taken
        return float(np.ascontiguousarray(np.stack(columns, axis=-1)).mean())

    def replicates(self, metric: str, weights: np.ndarray) -> np.ndarray:
        """The figure for many choices of images, (choices,); NaN where COCO gives none.

        Args:
            metric: see `figure`.
            weights: (choices, images).
        """
        curves = self.curves(metric)
        return np.concatenate([self._some(curves, part) for part in _parts(weights)])

    def _some(self, curves: list[list[Curve]], weights: np.ndarray) -> np.ndarray:
        total, classes = np.zeros(len(weights)), np.zeros(len(weights), np.int32)
        images = np.ascontiguousarray(weights.T)
        for one in curves:
            count = one[0].count(weights)
            table = _Table.of(count)
            counted = one[0].counted(images)
            found = np.zeros(len(weights))
            for before, curve in zip([one[0], *one], one, strict=False):
                if not np.array_equal(before.ignored, curve.ignored):
                    counted = curve.counted(images)
                found += curve.average(images, counted, table)
            total += np.where(count > 0, found / len(one), 0.0)
            classes += count > 0
        with np.errstate(invalid="ignore"):
            return np.where(classes > 0, total / classes, np.nan)

    def curves(self, metric: str) -> list[list[Curve]]:
        """The precision curves that a figure is the mean of: for each class, one a threshold."""
        size, thresholds = self._selection(metric)
        ends = np.cumsum(self.found.sum(axis=1))
        curves = []
        for k, end in enumerate(ends):
            part = slice(end - self.found[k].sum(), end)
            order = np.argsort(-self.scores[part], kind="stable")
            of = np.repeat(np.arange(len(self.images)), self.found[k])[order]
            truths = self.truths[k, size]
            matched, ignored = self.matched[size, :, part][:, order], self.ignored[size, :, part][:, order]
            curves.append([Curve(of, truths, matched[t], ignored[t]) for t in thresholds])
        return curves

    def _selection(self, metric: str) -> tuple[int, list[int]]:
        kind, _, name = metric.partition("_")
        if kind != self.kind:
            raise ResultsError(f"no evidence for {metric}: it was kept for {self.kind}")
        wanted: list[float] = np.linspace(0.5, 0.95, 10).tolist()
        if name.startswith("mAP@"):
            low, high, *step = (float(x) for x in name[4:].split(":"))
            by = step[0] if step else 0.05
            wanted = (low + by * np.arange(round((high - low) / by) + 1)).tolist()
        elif name in ("mAP_50", "mAP_75"):
            wanted = [float(f"0.{name[4:]}")]
        elif name != "mAP" and name not in _SIZES:
            raise ResultsError(f"no evidence for {metric}")
        found = [np.flatnonzero(np.isclose(self.thresholds, t, atol=1e-9)) for t in wanted]
        if any(not one.size for one in found):
            raise ResultsError(f"no evidence for {metric} at its thresholds")
        return self.sizes.index(_SIZES.get(name, "all")), [int(one[0]) for one in found]


@dataclass(frozen=True)
class Curve:
    """Precision against recall of one class at one threshold.

    Attributes:
        image: position of each detection's image, by falling score, (n,).
        truths: by image, (images,).
        matched, ignored: by detection, (n,).
    """

    image: np.ndarray
    truths: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray

    def count(self, weights: np.ndarray) -> np.ndarray:
        """Truths in the images taken; ``weights`` (..., images)."""
        return np.asarray(weights @ self.truths)

    def precision(self, weights: np.ndarray) -> np.ndarray:
        """Precision at the 101 recalls, (101,), for one choice of images."""
        times = weights[self.image]
        hits = np.cumsum(times * self.matched)
        all_ = np.cumsum(times * ~self.ignored)
        precision = np.divide(hits, all_, out=np.zeros(len(hits)), where=all_ > 0)
        falling = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(hits / self.count(weights), _RECALLS, side="left")
        return np.append(falling, 0.0)[at]

    def average(self, weights: np.ndarray, counted: np.ndarray, table: _Table) -> np.ndarray:
        """Mean precision over the 101 recalls, (choices,), for many choices of images.

        Only matches raise recall, so the precision is needed at them alone: from the last one back, each is worth as
        many of the 101 recalls as it is the first to reach. A step is a few operations on all choices at once, whose
        numbers stay in the processor's nearest cache: ten times as fast as running sums along the other axis.

        Args:
            weights: how often each image counts, (images, choices).
            counted: see `counted`.
            table: of the choices' number of truths.
        """
        hits = np.flatnonzero(self.matched)
        choices = weights.shape[1]
        at = table.start + weights[self.image[hits]].sum(axis=0, dtype=np.int64)
        falling, area, precision = np.zeros(choices), np.zeros(choices), np.empty(choices)
        reached = table.recalls[at]
        before = np.empty(choices)
        for hit in hits[::-1]:
            np.divide(at - table.start, counted[hit], out=precision)
            np.maximum(falling, precision, out=falling)
            at -= weights[self.image[hit]]
            np.take(table.recalls, at, out=before, mode="clip")
            reached -= before
            reached *= falling
            area += reached
            reached, before = before, reached
        return area / len(_RECALLS)

    def counted(self, weights: np.ndarray) -> np.ndarray:
        """How many detections count down to each, at least 1, (n, choices)."""
        sums = weights[self.image] * ~self.ignored[:, None]
        for above, here in itertools.pairwise(sums):
            here += above
        return np.asarray(np.maximum(sums, 1))


@dataclass(frozen=True)
class _Table:
    """How many of the 101 recalls so many matches reach, for each number of truths: COCO's comparison of floats."""

    recalls: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, count: np.ndarray) -> _Table:
        """For the number of truths of each choice, (choices,)."""
        different, which = np.unique(np.maximum(count, 1), return_inverse=True)
        lines = [np.searchsorted(_RECALLS, np.arange(n + 1) / n, side="right") for n in different]
        for line in lines:
            line[0] = 0  # recall 0 is read at the first match
        starts = np.cumsum([0, *(len(line) for line in lines[:-1])])
        return cls(np.concatenate(lines).astype(float), starts[which])


def _parts(weights: np.ndarray, rows: int = 1024) -> list[np.ndarray]:
    """A few choices at a time: what is computed of them fits in the processor's cache."""
    return [np.asarray(weights[i : i + rows], np.int32) for i in range(0, len(weights), rows)]
