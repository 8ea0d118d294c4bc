"""How many epochs until the best is found? This software beside its peers, on recorded trainings and a simulated clock.

    python benchmarks/simulate.py [--seeds 50] [--workers 1 4] [--tuners ours random ...] [--json FILE]

A study ends when what it would name best (its incumbent) is a combination whose mean over the recorded seeds is within
half a point of the table's best mean; the epochs trained until then, by all workers, are its figure. A study that never
gets there counts with the epochs of the whole table. Every tuner meets the same trainings: the seed of the simulated
study decides which recorded seed of a combination it sees. Intervals are 95 %, by a bootstrap over the studies' seeds.
"""

from __future__ import annotations

import argparse
import heapq
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from table import FILE, SPACE, Table, load
from tuners import TUNERS, Setting, Tuner

from sweeps.space.loader import load as load_space
from sweeps.space.walk import count

OURS = "ours"


class Clock:
    """Simulated seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Found:
    """One simulated study.

    Attributes:
        epochs: trained until a good combination was the incumbent, or in all.
        seconds: of the simulated clock, the same.
        reached: whether it was.
        trials: begun.
    """

    epochs: int
    seconds: float
    reached: bool
    trials: int


def simulate(tuner: Tuner, table: Table, seed: int, workers: int, clock: Clock, most: int) -> Found:
    """Lets workers train from the table until a good combination is the incumbent, or `most` epochs were trained."""
    # (when, order, worker, handle, row, epochs done); no handle: it asks for a trial
    queue: list[tuple[float, int, str, Any, Any, int]] = [(0.0, i, f"w{i}", None, None, 0) for i in range(workers)]
    epochs = trials = 0
    order = workers
    idle: list[str] = []
    while queue and epochs < most:
        clock.now, _, worker, handle, row, done = heapq.heappop(queue)
        if handle is None:
            given = tuner.lease(worker)
            if given is None:
                idle.append(worker)
                continue
            handle, params = given
            row, trials = table.draw(params, seed), trials + 1
            assert row is not None, f"the table has no {params}"
        else:
            epochs, done = epochs + 1, done + 1
            stop = tuner.report(handle, done, row.scores[done - 1], row.seconds[done - 1])
            if stop or done == len(row.scores):
                tuner.finish(handle, row, stop and done < len(row.scores))
                if tuner.incumbent() in table.good:
                    return Found(epochs, clock.now, True, trials)
                for free in (worker, *idle):
                    order += 1
                    heapq.heappush(queue, (clock.now, order, free, None, None, 0))
                idle.clear()
                continue
        order += 1
        heapq.heappush(queue, (clock.now + row.seconds[done], order, worker, handle, row, done))
    return Found(most, clock.now, False, trials)


def setting(table: Table) -> Setting:
    """What the recorded trainings are a search of: their space without the seeds."""
    space = load_space(SPACE, ["data=demo", "sampler.kind=auto"])
    space = replace(space, study="table", search={key: form for key, form in space.search.items() if key != "seed"})
    combinations = count(space)
    assert combinations is not None
    if len(table.means) < combinations:
        raise SystemExit(f"the table has {len(table.means)} of {combinations} combinations: record more first")
    return Setting(space, table, max(len(row.scores) for row in table.rows), combinations)


def share(mine: np.ndarray, theirs: np.ndarray, lots: np.random.Generator, samples: int = 2000) -> list[float]:
    """Mean of `mine` as a share of the mean of `theirs`, and its 95 % interval; both by the same seeds."""
    picks = lots.integers(len(mine), size=(samples, len(mine)))
    low, high = np.quantile(mine[picks].mean(axis=1) / theirs[picks].mean(axis=1), [0.025, 0.975])
    return [float(mine.mean() / theirs.mean()), float(low), float(high)]


def compare(table: Table, names: list[str], seeds: int, workers: int) -> dict[str, Any]:
    """Simulates every tuner; their figures, and ours as a share of each."""
    about = setting(table)
    most = about.combinations * about.epochs
    epochs: dict[str, np.ndarray] = {}
    found: dict[str, Any] = {}
    for name in names:
        begun, studies = time.perf_counter(), []
        for seed in range(seeds):
            clock = Clock()
            studies.append(simulate(TUNERS[name](about, seed, clock), table, seed, workers, clock, most))
        epochs[name] = np.array([one.epochs for one in studies], float)
        found[name] = {
            "epochs": float(epochs[name].mean()),
            "median": float(np.median(epochs[name])),
            "hours": float(np.mean([one.seconds for one in studies]) / 3600),
            "reached": float(np.mean([one.reached for one in studies])),
            "trials": float(np.mean([one.trials for one in studies])),
            "wall_seconds": round(time.perf_counter() - begun, 1),
        }
        if name != names[0]:
            found[name]["share"] = share(epochs[names[0]], epochs[name], np.random.default_rng(0))
    return found


def show(found: dict[str, Any], first: str, workers: int, seeds: int) -> None:
    """Prints the table of one number of workers."""
    print(f"\n{workers} worker{'s' if workers > 1 else ''}, {seeds} seeds")
    head = f"{first} needs of it"
    print(f"{'':24} {'epochs':>7} {'median':>7} {'hours':>6} {'trials':>7} {'reached':>8}   {head} (95 %)")
    for name, line in found.items():
        part = ""
        if "share" in line:
            mean, low, high = (100 * figure for figure in line["share"])
            part = f"{mean:.0f} % ({low:.0f} to {high:.0f})"
        print(
            f"{name:24} {line['epochs']:7.1f} {line['median']:7.1f} {line['hours']:6.2f} {line['trials']:7.1f} "
            f"{line['reached']:8.0%}   {part}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--tuners", nargs="+", default=list(TUNERS), choices=list(TUNERS), metavar="TUNER")
    parser.add_argument("--table", type=Path, default=FILE)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table = load(given.table)
    means = sorted(table.means.values(), reverse=True)
    print(
        f"{len(table.rows)} trainings of {len(means)} combinations; best means "
        f"{', '.join(f'{mean:.4f}' for mean in means[:5])}; {len(table.good)} within half a point of the best"
    )
    document = {}
    for workers in given.workers:
        document[str(workers)] = found = compare(table, given.tuners, given.seeds, workers)
        show(found, given.tuners[0], workers, given.seeds)
    if given.json:
        given.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
