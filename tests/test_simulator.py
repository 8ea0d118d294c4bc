"""The simulator: what it proposes is what the study server proposes, and its figures are those that a hand finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import memory
import numpy as np
import pytest
import record_table
import simulate
import table
import tuners
from made_up import ASK, Bench, run

from runner.protocol import EpochReport, Lease, Result
from sweeps.leases.coordinator import Coordinator
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import assignments

EPOCHS = 3
SPACE = """\
study: table
data: demo
scale: tiny
fixed: {epochs: 3}
search:
  seed: [0, 1]
  model: [mask_rcnn, solov2]
  optimizer: {AdamW: {lr: [0.001, 0.003, 0.01]}, SGD: {lr: [0.01, 0.03]}}
"""
FINAL = (0.1, 0.2, 0.296, 0.3, 0.1, 0.05, 0.1, 0.1, 0.2, 0.25)  # of the combinations, in the file's order


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, SPACE)


def recorded(bench: Bench) -> table.Table:
    """Trainings recorded by the study server itself: seed 1 scores a hundredth of a point more."""
    with bench.study() as study:
        coordinator = Coordinator(study)
        run(coordinator, lambda trial, epoch: FINAL[trial % 10] * epoch / EPOCHS + trial // 10 / 10_000)
    return record_table.read(bench.storage, "table")


def test_what_was_recorded_is_read_and_kept(bench: Bench) -> None:
    found = recorded(bench)
    assert len(found.rows) == 20
    assert list(found.means.values()) == pytest.approx([score + 0.00005 for score in sorted_by_key(found)])
    assert {row.seed for row in found.rows} == {0, 1}
    assert all(row.seconds == (1.0, 1.0, 1.0) and row.state == "complete" for row in found.rows)
    file = bench.folder / "table.json.gz"
    table.save(found, file)
    before = file.read_bytes()
    assert table.load(file) == found
    table.save(table.load(file), file)
    assert file.read_bytes() == before


def test_seeds_recorded_elsewhere_come_into_the_same_table(bench: Bench, tmp_path: Path) -> None:
    whole = recorded(bench)
    first, second = (table.Table(whole.study, tuple(row for row in whole.rows if row.seed == seed)) for seed in (0, 1))
    again = table.Table(whole.study, (*second.rows, replace(first.rows[0], scores=(0.5,) * EPOCHS)))
    found = record_table.added(first, again)
    assert {(row.key, row.seed) for row in found.rows} == {(row.key, row.seed) for row in whole.rows}
    assert found.rows[0].scores == (0.5,) * EPOCHS, "what was trained anew stands"
    assert found.rows[1:] == whole.rows[1:]
    assert found.study["trained_seconds"] == 20 * EPOCHS
    with pytest.raises(SystemExit, match="another data_hash"):
        record_table.added(first, table.Table({**whole.study, "data_hash": "ab"}, second.rows))


def sorted_by_key(found: table.Table) -> list[float]:
    firsts = [row for row in found.rows if row.seed == 0]
    return [row.scores[-1] for row in sorted(firsts, key=lambda row: list(found.means).index(row.key))]


def test_good_are_those_within_half_a_point(bench: Bench) -> None:
    found = recorded(bench)
    assert sorted(found.means[name] for name in found.good) == pytest.approx([0.29605, 0.30005])


def test_a_study_sees_one_training_of_a_combination_and_another_study_another(bench: Bench) -> None:
    found = recorded(bench)
    params = found.rows[0].params
    drawn = {seed: found.draw(params, seed) for seed in range(20)}
    assert {row.seed for row in drawn.values() if row} == {0, 1}
    assert all(found.draw({**params, "seed": 7}, seed) == row for seed, row in drawn.items())


@pytest.mark.parametrize("pruner", ["none", "successive_halving"])
def test_the_study_in_memory_decides_as_the_one_in_a_database(bench: Bench, pruner: str) -> None:
    text = [f"pruner.kind={pruner}", "sampler.kind=tpe", "sampler.seed=3", "budget.trials=12"]
    with bench.study(*text) as study:
        real = trace(Coordinator(study), lambda trial: study.row(trial).optuna_params)
    opened = memory.open_study(bench.space(*text), n_train=10)
    assert trace(Coordinator(opened.study), lambda trial: opened.store.rows[trial].optuna_params) == real
    assert len(real) == 12
    assert pruner == "none" or any(epochs < EPOCHS for _, epochs in real)


def trace(coordinator: Coordinator, params: Any) -> list[tuple[str, int]]:
    """(what was proposed, epochs that it was allowed) of each trial."""
    seen: list[tuple[str, int]] = []
    while lease := coordinator.lease(ASK.model_copy(update={"ready": {"table": ""}})).lease:
        seen.append((str(params(lease.trial)), _train(coordinator, lease)))
    return seen


def _train(coordinator: Coordinator, lease: Lease) -> int:
    score = 0.01 * (sum(map(ord, lease.combination.digest())) % 17)
    for epoch in range(1, EPOCHS + 1):
        told = EpochReport(epoch=epoch, metrics={"segm_mAP": score * epoch}, seconds=1.0)
        if coordinator.report(lease.trial, lease.fence, told).action == "prune":
            coordinator.finish(lease.trial, lease.fence, memory_result("pruned"))
            return epoch
    coordinator.finish(lease.trial, lease.fence, memory_result("complete"))
    return EPOCHS


def memory_result(outcome: Any) -> Any:

    return Result(outcome=outcome, reason="stopped" if outcome == "pruned" else None)


class InOrder:
    """A tuner of which everything is known beforehand: the file's order, no pruning."""

    def __init__(self, keys: list[table.Row]) -> None:
        self.left, self.best = list(keys), (-1.0, "")

    def lease(self, worker: str) -> tuple[table.Row, dict[str, Any]] | None:
        return (self.left[0], self.left.pop(0).params) if self.left else None

    def report(self, handle: table.Row, epoch: int, score: float, seconds: float) -> bool:
        return False

    def finish(self, handle: table.Row, row: table.Row, pruned: bool) -> None:
        self.best = max(self.best, (row.scores[-1], row.key))

    def incumbent(self) -> str:
        return self.best[1]


@pytest.mark.parametrize(("workers", "epochs", "seconds"), [(1, 9, 9.0), (2, 11, 6.0)])
def test_the_clock_counts_what_all_workers_trained(bench: Bench, workers: int, epochs: int, seconds: float) -> None:
    """The third combination is good. With two workers the fourth has trained two epochs when the third ends."""
    found = recorded(bench)
    order = sorted((row for row in found.rows if row.seed == 0), key=lambda row: FINAL.index(row.scores[-1]))
    rows = [*order[:1], *order[1:2], next(row for row in order if row.scores[-1] == 0.296), *order[5:6]]
    ended = simulate.simulate(InOrder(rows), found, 0, workers, simulate.Clock(), 90)
    assert ended == simulate.Found(epochs, seconds, True, 3 if workers == 1 else 4)


def test_a_share_and_its_interval() -> None:
    mine, theirs = np.array([1.0, 2.0, 3.0] * 20), np.array([4.0, 8.0, 12.0] * 20)
    assert simulate.share(mine, theirs, np.random.default_rng(0)) == pytest.approx([0.25] * 3)


def test_every_tuner_finds_the_best_of_a_small_table(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded(bench)
    file = bench.folder / "space.yaml"
    monkeypatch.setattr(simulate, "SPACE", file)
    quick = [name for name in tuners.TUNERS if "gp" not in name]  # that one takes a second a question
    shown = simulate.compare(found, quick, seeds=2, workers=2)
    assert all(line["epochs"] <= 10 * EPOCHS for line in shown.values())
    assert shown["exhaustive"]["reached"] == shown["ours"]["reached"] == 1.0


def test_the_recorded_space_is_the_one_of_the_table() -> None:
    """What benchmarks/table.json.gz holds are combinations of benchmarks/table_space.yaml."""
    space: SearchSpace = simulate.load_space(table.SPACE, ["data=demo"])

    known = {table.key(one) for one in assignments(space)}
    assert set(table.load().means) <= known
