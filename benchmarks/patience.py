"""What `budget: {patience: N}` saves and costs, on made-up studies whose truth is known.

    python benchmarks/patience.py --studies 40

A study has six models, four optimizers and a learning rate for each; its true score is the model's, plus the
optimizer's, minus 5 points for each decade squared that the rate is away from the optimizer's best. Each training adds
normal noise of so many points. The real proposer (TPE) proposes, `sweeps.study.stagnation` ends; the regret is what the
combination with the highest figure truly lacks to the best there is, in points.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import optuna

from results.records import TrialRecord, now
from sweeps.space.exclusion import Assignment
from sweeps.space.loader import load
from sweeps.study.proposer import Proposer
from sweeps.study.stagnation import End, stagnation

TRIALS = 100
RULES = ((None, 0), (10, 0), (20, 0), (30, 0), (10, 1), (20, 1), (30, 1), (40, 1))  # (patience, gain in deviations)
optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = """\
study: patience
data: demo
scale: tiny
search:
  model: [mask_rcnn, cascade_mask_rcnn, ms_rcnn, htc, scnet, solov2]
  optimizer:
    SGD: {lr: {float: [0.0001, 0.1], log: true}}
    AdamW: {lr: {float: [0.00001, 0.01], log: true}}
    Adadelta: {lr: {float: [0.01, 10.0], log: true}}
    NAdam: {lr: {float: [0.00001, 0.01], log: true}}
"""
OPTIMIZERS = {"SGD": 0.02, "AdamW": 0.0007, "Adadelta": 1.0, "NAdam": 0.0004}
MODELS = ("mask_rcnn", "cascade_mask_rcnn", "ms_rcnn", "htc", "scnet", "solov2")


class Truth:
    """The true scores of one study, from 0 to 1."""

    def __init__(self, source: random.Random) -> None:
        self.models = {name: 0.5 + source.uniform(0, 0.05) for name in MODELS}
        self.optimizers = {name: source.uniform(0, 0.04) for name in OPTIMIZERS}
        self.best = max(self.models.values()) + max(self.optimizers.values())

    def score(self, one: Assignment) -> float:
        """The mean over all seeds."""
        optimizer = str(one["optimizer"])
        rate = float(one[f"optimizer.{optimizer}.lr"] or 0)
        away = math.log10(rate / OPTIMIZERS[optimizer])
        return max(0.0, self.models[str(one["model"])] + self.optimizers[optimizer] - 0.05 * away**2)


def study(seed: int, noise: float, path: Path) -> tuple[list[float], list[float], float]:
    """(figures, truths, best truth) of a study of `TRIALS` trials."""
    source = random.Random(seed)
    truth = Truth(source)
    proposer = Proposer(load(path, [f"budget.trials={TRIALS}", f"sampler.seed={seed}"]), [])
    figures, truths = [], []
    for number in range(TRIALS):
        one = proposer.propose()
        assert one is not None
        proposer.begun(number, one)
        truths.append(truth.score(one))
        figures.append(truths[-1] + source.gauss(0, noise))
        proposer.ended(replace(ROW, number=number, score=figures[-1], optuna_params=one))
    return figures, truths, truth.best


ROW = TrialRecord(
    study="patience", number=0, combination="0" * 8, parts={}, params={}, optuna_params={}, seed=0, epochs=1, owner="",
    worker=None, device=None, state="complete", fence=1, attempts=1, score=0.0, best_score=None, best_epoch=None,
    metrics={}, parameters=None, peak_memory_mb=None, seconds=None, reason=None, versions={}, data_hash="",
    config_hash=None, created_at=now(), started_at=None, finished_at=None,
)  # fmt: skip


def end(figures: list[float], patience: int, gain: float) -> int:
    """After how many trials patience ends the study."""
    ends = [End(str(number), score) for number, score in enumerate(figures)]
    for number in range(1, len(ends) + 1):
        if stagnation(ends[:number], gain).combinations >= patience:
            return number
    return len(ends)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=40)
    options = parser.parse_args()
    print("| noise | rule | trials | regret, points | worst tenth |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.yaml"
        path.write_text(SPACE)
        for noise in (0.0, 0.005, 0.01):
            runs = [study(seed, noise, path) for seed in range(options.studies)]
            for patience, gain in RULES:
                if gain and not noise:
                    continue
                gain *= noise
                ends = [end(run[0], patience, gain) if patience else TRIALS for run in runs]
                regrets = []
                for (figures, truths, best), number in zip(runs, ends, strict=True):
                    chosen = max(range(number), key=figures.__getitem__)
                    regrets.append(100 * (best - truths[chosen]))
                rule = (
                    "100 trials" if patience is None else f"patience {patience}" + (f", gain {gain:g}" if gain else "")
                )
                tenth = sorted(regrets)[-max(1, len(regrets) // 10) :][0]
                print(
                    f"| {100 * noise:g} | {rule} | {statistics.fmean(ends):.0f} | {statistics.fmean(regrets):.2f} "
                    f"| {tenth:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
