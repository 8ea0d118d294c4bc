"""A table of made-up trainings in the shape of the recorded one, for the simulator's tests and before there is one.

    python benchmarks/made_up_table.py --seed 0 --out /tmp/made_up.json.gz
    python benchmarks/simulate.py --table /tmp/made_up.json.gz

What a combination reaches is a sum of effects of its parts, of pairs of them, and of itself; how fast, one of model,
optimizer and rate. Each training has a noise of 0.6 points of its own and as much again in every epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

import numpy as np
from table import SPACE, Row, Table, save, table

from sweeps.space.exclusion import Assignment
from sweeps.space.loader import load
from sweeps.space.walk import assignments

EPOCHS, SEEDS = 9, 3
TOP = 0.3  # mask mAP that the best could reach
NOISE = 0.006


class _Effects:
    """Normal draws by name: asked again, the same."""

    def __init__(self, lots: np.random.Generator) -> None:
        self._lots, self._known = lots, dict[Hashable, float]()

    def __call__(self, name: Hashable, spread: float) -> float:
        if name not in self._known:
            self._known[name] = float(self._lots.normal(0, spread))
        return self._known[name]


def make(seed: int) -> Table:
    """Trainings of every combination of the recorded space."""
    lots = np.random.default_rng(seed)
    effect = _Effects(lots)
    space = load(SPACE, ["data=demo"])
    space = replace(space, search={key: form for key, form in space.search.items() if key != "seed"})
    rows = [row for one in assignments(space) for row in _trainings(one, effect, lots)]
    return table({"n_train": 32, "made_up": seed}, rows)


def _trainings(one: Assignment, effect: _Effects, lots: np.random.Generator) -> list[Row]:
    model, backbone, optimizer = one["model"], one["backbone"], one["optimizer"]
    rate = next(value for name, value in one.items() if name.endswith("lr"))
    worth = (
        effect(model, 0.5) + effect(backbone, 0.3) + effect(optimizer, 0.3) + effect((optimizer, rate), 0.6)
        + effect((model, optimizer, rate), 0.4) + effect((backbone, optimizer), 0.25) + effect((model, backbone), 0.2)
        + lots.normal(0, 0.15)
    )  # fmt: skip
    speed = np.exp(effect((model, "speed"), 0.3) + effect((optimizer, rate, "speed"), 0.3) + lots.normal(0, 0.1))
    seconds = 3 * float(np.exp(effect((model, "seconds"), 0.4)))
    curve = TOP / (1 + np.exp(-1.3 * (worth - 0.5))) * (1 - np.exp(-speed * np.arange(1, EPOCHS + 1) / 4)) ** 1.5
    found = []
    for seed in range(SEEDS):
        scores = np.clip(curve + lots.normal(0, NOISE, EPOCHS) + lots.normal(0, NOISE), 0, None)
        found.append(Row(one, seed, "complete", tuple(round(float(x), 6) for x in scores), (seconds,) * EPOCHS))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    save(make(given.seed), given.out)


if __name__ == "__main__":
    main()
