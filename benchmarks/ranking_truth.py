"""Does the ranking say what is so? Simulated studies whose truth is known, beside a ranking by the best single run.

    python benchmarks/ranking_truth.py [--studies 200] [--images 50] [--noise 0.5 0.75 1.0 1.5 2.0] [--json FILE]

Each study has combinations whose expected scores differ by 0 to 3 points, trained with three seeds each: two of them
(pairs), six (six), six with six others that learnt nothing (failed), or six that are exactly equal (equal).
The evidence of each training comes from benchmarks/evidence_model.py; it goes through the same code as a real
trial's. The noise is the standard deviation, in points, of a score between seeds on one validation set.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from evidence_model import Scale, images, training

from results.statistics.confidence import Runs, beats, choices, difference, mean
from results.statistics.seednoise import learnt

GAPS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
BINS = ((0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2), (2, 2.5), (2.5, 3.01))
NOTHING = -5.0  # quality of what learnt nothing: a score of about 0
BEST = 0.55  # expected score of the best combination
SAMPLES = 400  # bootstrap samples of each study: intervals are Student's, so that few suffice


@dataclass
class Tally:
    """Pairs of combinations, by their true gap.

    Attributes:
        gaps: in points.
        said: 1 if the better one was said to be better, -1 if the worse one was, 0 if nothing was said.
        single: the same by the best single run, which always says something.
        mean_held, difference_held: whether their intervals held the truth.
        named: of each study, whether it named any combination better than another.
    """

    gaps: list[float] = field(default_factory=list)
    said: list[int] = field(default_factory=list)
    single: list[int] = field(default_factory=list)
    mean_held: list[bool] = field(default_factory=list)
    difference_held: list[bool] = field(default_factory=list)
    named: list[bool] = field(default_factory=list)

    def add(self, truths: np.ndarray, runs: list[Runs], count: int) -> None:
        """Counts every pair of the first ones, whose truth is given; the others stand beside them in the study."""
        noise = learnt([one.scores for one in runs])
        better = beats(runs, noise, count)
        self.named.append(bool(better[: len(truths), : len(truths)].any()))
        first = runs[: len(truths)]
        for i, one in enumerate(first):
            low, high = mean(one, noise, count).interval()
            self.mean_held.append(bool(low <= truths[i] <= high))
            for j in range(i + 1, len(first)):
                low, high = difference(one, runs[j], noise, count).interval()
                gap = truths[i] - truths[j]
                self.difference_held.append(bool(low <= gap <= high))
                sign = 1 if gap >= 0 else -1
                self.gaps.append(abs(gap) * 100)
                self.said.append(sign * (int(better[i, j]) - int(better[j, i])))
                self.single.append(sign * (1 if one.scores.max() > runs[j].scores.max() else -1))

    def line(self) -> dict[str, Any]:
        """Shares of pairs; at a gap of 0 whatever is said is wrong."""
        gaps, said, single = np.array(self.gaps), np.array(self.said), np.array(self.single)
        equal = gaps <= 1e-9
        right, wrong = (said > 0) & ~equal, (said < 0) | ((said > 0) & equal)
        lucky = (single > 0) & ~equal
        wide = gaps >= 2 - 1e-9
        inside = {"0": equal}
        inside |= {
            f"{low:g}-{min(high, 3):g}": ~equal & (gaps >= low - 1e-9) & (gaps < high - 1e-9) for low, high in BINS
        }
        return {
            "claims": int(right.sum() + wrong.sum()),
            "claims_true": float(right.sum() / max(1, right.sum() + wrong.sum())),
            "said_at_2_or_more": float(right[wide].mean()) if wide.any() else None,
            "single_run_true": float(lucky.mean()),
            "mean_interval_holds": float(np.mean(self.mean_held)),
            "difference_interval_holds": float(np.mean(self.difference_held)),
            "studies_with_a_claim": float(np.mean(self.named)),
            "by_gap": {
                name: {
                    "pairs": int(there.sum()),
                    "said_right": float(right[there].mean()),
                    "said_wrong": float(wrong[there].mean()),
                    "single_run_right": float(lucky[there].mean()),
                }
                for name, there in inside.items()
                if there.any()
            },
        }


def study(
    rng: np.random.Generator, scale: Scale, truths: np.ndarray, seeds: int, noise: float, taken: np.ndarray, failed: int
) -> list[Runs]:
    """The trainings of a study, all on the same images; some of its combinations learnt nothing, whatever the seed."""
    shown = images(rng, taken.shape[1])
    found = []
    for quality in [*map(scale.quality, truths), *[NOTHING] * failed]:
        moves = noise if quality != NOTHING else 0.0
        runs = [training(rng, shown, quality + moves * rng.standard_normal()) for _ in range(seeds)]
        found.append(Runs(
            np.array([run.figure("segm_mAP") or 0.0 for run in runs]),
            np.stack([run.replicates("segm_mAP", taken) for run in runs]),
        ))  # fmt: skip
    return found


def truths(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Expected scores: two combinations with one of the gaps; six equal; else six over 3 points, some of them equal."""
    if kind == "pairs":
        return BEST - np.array([0.0, rng.choice(GAPS)]) / 100
    if kind == "equal":
        return np.full(6, BEST)
    return BEST - np.where(rng.random(6) < 0.3, 0.0, rng.uniform(0, 3, 6)) / 100


def quality_noise(points: float, count: int) -> float:
    """Noise of the quality that gives a standard deviation of so many points between seeds, training noise included."""
    rng = np.random.default_rng(9)
    shown = [images(rng, count) for _ in range(10)]
    scale = Scale.measured(count, 0.0, sets=30)
    middle = scale.quality(BEST)

    def spread(noise: float) -> float:
        draws = np.random.default_rng(10)
        runs = [
            [training(draws, one, middle + noise * draws.standard_normal()).figure("segm_mAP") or 0 for _ in range(30)]
            for one in shown
        ]
        return 100 * float(np.sqrt(np.var(runs, axis=1, ddof=1).mean()))

    low, high = 0.0, 0.2
    for _ in range(12):
        middle_noise = (low + high) / 2
        low, high = (middle_noise, high) if spread(middle_noise) < points else (low, middle_noise)
    return low


def show(line: dict[str, Any]) -> None:
    """One kind of study at one noise."""
    said = "-" if line["said_at_2_or_more"] is None else f"{line['said_at_2_or_more']:.3f}"
    print(
        f"{line['noise']:5.2f}  {line['study']:6} {line['claims']:7}  {line['claims_true']:.3f}  {said:>12}"
        f"  {line['single_run_true']:15.3f}  {line['mean_interval_holds']:14.3f}"
        f"  {line['difference_interval_holds']:10.3f}  {line['studies_with_a_claim']:20.3f}"
    )
    for gap, shares in line["by_gap"].items():
        print(
            f"         gap {gap:>7}: said right {shares['said_right']:.2f}, wrong {shares['said_wrong']:.3f};"
            f" best single run right {shares['single_run_right']:.2f} ({shares['pairs']} pairs)",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--noise", type=float, nargs="+", default=[0.5, 0.75, 1.0, 1.5, 2.0], help="points between seeds"
    )
    parser.add_argument("--kinds", nargs="+", default=["pairs", "six", "failed", "equal"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    taken = choices(options.images, SAMPLES)
    table: list[dict[str, Any]] = []
    print(
        "noise  study   claims  true   said at >= 2  single run true  interval: mean  difference  studies with a claim"
    )
    for points in options.noise:
        noise = quality_noise(points, options.images)
        scale = Scale.measured(options.images, noise)
        for kind in options.kinds:
            tally = Tally()
            for one in range(options.studies * (4 if kind == "pairs" else 1)):
                rng = np.random.default_rng([round(points * 100), len(kind), one])
                expected = truths(rng, kind)
                failed = 6 if kind == "failed" else 0
                runs = study(rng, scale, expected, options.seeds, noise, taken, failed)
                tally.add(expected, runs, options.images)
            table.append({"noise": points, "study": kind, **tally.line()})
            show(table[-1])
    if options.json:
        options.json.write_text(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
