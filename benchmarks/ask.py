"""What a question for the next trial is worth, and what it takes.

Part one asks each sampler 500 times in a space of 6 models, 14 backbones, 7 augmentations and 12 optimizers (7,056
combinations, some forbidden) with four trials running at any time and one in twenty ending out of memory, and counts
repetitions and forbidden pairs; plain Optuna's default TPE beside them. Part two asks with thousands of finished
trials: ours whole, its database included, beside plain Optuna's TPE in memory and on SQLite.

    python benchmarks/ask.py                              # all of it, about half an hour on a core
    python benchmarks/ask.py --kinds tpe nsga2 --part asks
    python benchmarks/ask.py --part time --finished 5000 --asks 300
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import optuna
from optuna.trial import TrialState

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in (".", "tests"))  # tests/sweeps is no package
from made_up import Bench, result

from results.records import TrialRecord, now
from runner.catalog import AUGMENTATIONS, BACKBONES, MODELS, OPTIMIZERS
from runner.protocol import EpochReport
from sweeps.space.exclusion import Assignment, forbidden
from sweeps.space.opening import opening
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import assignments, count
from sweeps.study.forms import distributions
from sweeps.study.proposer import Proposer
from sweeps.study.study import Study

KINDS = ("exhaustive", "random", "qmc", "tpe", "nsga2", "gp")
NAMES = {
    "model": (MODELS, 6),
    "backbone": (BACKBONES, 14),
    "augmentation": (AUGMENTATIONS, 7),
    "optimizer": (OPTIMIZERS, 12),
}
T = TypeVar("T")
RUNNING = 4  # trials at a time


def text() -> str:
    """The space, with what its catalog lists first."""
    search = {part: list(entries)[:number] for part, (entries, number) in NAMES.items()}
    rules = [
        {"model": "solov2", "backbone": ["resnet101", "resnext101_64x4d"]},
        {"optimizer": ["LBFGS", "SparseAdam"], "model": ["htc", "scnet"]},
        {"augmentation": search["augmentation"][2], "backbone": search["backbone"][:4]},
    ]
    entries = {"study": "made_up", "data": "demo", "scale": "tiny", "fixed": {"epochs": 2}, "search": search}
    return json.dumps({**entries, "forbid": rules, "budget": {"trials": 7056}})


class World:
    """Scores that nobody knows: each choice adds its own part, and every training its noise."""

    def __init__(self, seed: int) -> None:
        source = random.Random(seed)
        parts = {part: list(entries)[:number] for part, (entries, number) in NAMES.items()}
        self.worth = {(part, name): source.gauss(0, 0.04) for part, names in parts.items() for name in names}
        self._noise = random.Random(seed + 1)

    def end(self, number: int, assignment: Assignment) -> TrialRecord:
        """The trial's record once it has ended: in one of twenty cases out of memory, else complete."""
        known = dict.fromkeys(TrialRecord.__dataclass_fields__)
        known |= {"study": "made_up", "number": number, "optuna_params": assignment, "metrics": {}, "created_at": now()}
        if random.Random(f"{assignment['model']} {assignment['backbone']}").random() < 0.05:
            return TrialRecord(**{**known, "state": "infeasible", "failure": "out_of_memory"})
        return TrialRecord(**{**known, "state": "complete", "score": self.score(assignment)})

    def score(self, assignment: Assignment) -> float:
        """A training's mask mAP."""
        return 0.4 + sum(self.worth[pair] for pair in assignment.items()) + self._noise.gauss(0, 0.01)


def asked(space: SearchSpace, asks: int) -> tuple[list[Assignment], list[float]]:
    """What one of our samplers proposes, and the seconds that each question took."""
    proposer, world = Proposer(space, [], opening=opening(space, "tiny", 100)), World(0)
    running: deque[tuple[int, Assignment]] = deque()
    found, seconds = [], []
    for number in range(asks):
        if len(running) == RUNNING:
            proposer.ended(world.end(*running.popleft()))
        before = time.perf_counter()
        assignment = proposer.propose()
        seconds.append(time.perf_counter() - before)
        assert assignment is not None
        proposer.begun(number, assignment)
        running.append((number, assignment))
        found.append(assignment)
    return found, seconds


def plain(space: SearchSpace, asks: int) -> list[Assignment]:
    """What Optuna's default TPE proposes."""
    study, world = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0)), World(0)
    running: deque[optuna.Trial] = deque()
    for _ in range(asks):
        if len(running) == RUNNING:
            trial = running.popleft()
            study.tell(trial, world.score(trial.params))
        running.append(study.ask(distributions(space, next(iter(assignments(space))))))
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def part_asks(bench: Bench, kinds: list[str], asks: int) -> None:
    """Repetitions and forbidden pairs of each sampler."""
    space = bench.space()
    print(f"{asks} asks in {count(space, allowed=False)} combinations, {count(space)} of them allowed")
    print(f"{'sampler':<24}{'repeated':>9}{'forbidden':>10}{'ms, median':>12}{'p99':>8}")
    for kind in kinds:
        found, seconds = asked(bench.space(f"sampler.kind={kind}"), asks)
        _count(kind, space, found, seconds)
    _count("plain Optuna TPE", space, plain(space, asks), [])


def _count(name: str, space: SearchSpace, found: list[Assignment], seconds: list[float]) -> None:
    repeated = len(found) - len({json.dumps(one, sort_keys=True) for one in found})
    broken = sum(forbidden(space, one) for one in found)
    times = "".join(f"{1000 * float(np.percentile(seconds, p)):>10.1f}" for p in (50, 99)) if seconds else ""
    print(f"{name:<24}{repeated:>9}{broken:>10}{times}", flush=True)


def part_time(bench: Bench, finished: int, asks: int) -> None:
    """What a question takes with so many finished trials."""
    space = bench.space("sampler.kind=tpe")
    done = random.Random(0).sample(list(assignments(space)), finished)
    print(f"\nan ask with {finished} finished trials, {asks} times: ms of the clock, ms of this thread's CPU")
    print(f"{'':<44}{'median':>9}{'p99':>9}{'median':>9}{'p99':>9}")
    pairs = {
        "in memory": (_sampler(space, done, asks), _optuna(space, done, asks, None)),
        "on SQLite": (
            _ours(bench, finished, asks),
            _optuna(space, done, asks, f"sqlite:///{bench.folder / 'plain.db'}"),
        ),
    }
    for place, times in pairs.items():
        for name, taken in zip(("ours", "plain Optuna TPE"), times, strict=True):
            cells = [1000 * float(np.percentile(column, p)) for column in zip(*taken, strict=True) for p in (50, 99)]
            print(f"{name + ', ' + place:<44}" + "".join(f"{cell:>9.1f}" for cell in cells))
        clock, cpu = (np.percentile(times[0], 99, axis=0) / np.percentile(times[1], 99, axis=0)).tolist()
        print(f"p99 of ours / plain Optuna's {place}: {clock:.2f} of the clock, {cpu:.2f} of the CPU", flush=True)


Taken = tuple[float, float]  # seconds of the clock, of this thread's CPU


def _timed(action: Callable[[], T]) -> tuple[T, Taken]:
    clock, cpu = time.perf_counter(), time.thread_time()
    found = action()
    return found, (time.perf_counter() - clock, time.thread_time() - cpu)


def _sampler(space: SearchSpace, done: list[Assignment], asks: int) -> list[Taken]:
    """What each question of our sampler alone takes."""
    world = World(0)
    proposer = Proposer(space, [world.end(number, one) for number, one in enumerate(done)])
    times = []
    for number in range(len(done), len(done) + asks):
        assignment, taken = _timed(proposer.propose)
        assert assignment is not None
        times.append(taken)
        proposer.begun(number, assignment)
        proposer.ended(world.end(number, assignment))
    return times


def _ours(bench: Bench, finished: int, asks: int) -> list[Taken]:
    """What each ask takes of a whole study that has gone on for long and was started again."""
    world = World(0)

    def end(study: Study, number: int) -> None:
        metrics = {"segm_mAP": world.score(study.row(number).optuna_params)}
        study.report(number, EpochReport(epoch=1, metrics=metrics, seconds=1.0))
        study.finish(number, result())

    with bench.study("sampler.kind=random", "fixed.epochs=1") as study:
        for _ in range(finished):
            number = study.ask()
            assert number is not None
            end(study, number)
    times = []
    with bench.study("sampler.kind=tpe", "fixed.epochs=1") as study:
        for _ in range(asks):
            number, taken = _timed(study.ask)
            times.append(taken)
            assert number is not None
            end(study, number)
    return times


def _optuna(space: SearchSpace, done: list[Assignment], asks: int, storage: str | None) -> list[Taken]:
    """What each ask takes of Optuna's study as its documentation has it."""
    study = optuna.create_study(storage=storage, direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    forms, world = distributions(space, done[0]), World(0)
    study.add_trials(
        optuna.create_trial(state=TrialState.COMPLETE, params=one, distributions=forms, value=world.score(one))
        for one in done
    )
    times = []
    for _ in range(asks):
        trial, taken = _timed(lambda: study.ask(forms))
        times.append(taken)
        study.tell(trial, world.score(trial.params))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["asks", "time", "all"], default="all")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--asks", type=int, default=500)
    parser.add_argument("--finished", type=int, default=5000)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), text())
        if options.part != "time":
            part_asks(bench, options.kinds, options.asks)
        if options.part != "asks":
            part_time(bench, options.finished, options.asks)


if __name__ == "__main__":
    main()
