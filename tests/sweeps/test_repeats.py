"""``repeats: n``: every combination is trained with n seeds, whoever proposes it, also after a restart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from made_up import ASK, Bench, data, result, run

from sweeps.leases.coordinator import Coordinator
from sweeps.space.loader import load
from sweeps.space.plan import plan
from sweeps.space.travel import document

FINITE = """\
study: made_up
data: demo
scale: tiny
repeats: 3
fixed: {epochs: 1}
search: {model: [mask_rcnn, solov2], lr: [0.001, 0.0003]}
"""
SAMPLED = """\
study: made_up
data: demo
scale: tiny
repeats: 3
fixed: {epochs: 1}
search: {optimizer: {SGD: {lr: {float: [0.001, 0.1], log: true}}, AdamW: {}}}
sampler: {kind: tpe}
budget: {trials: 12}
"""


def seeds(bench: Bench) -> dict[str, list[int]]:
    """The seeds of each combination, in the order they were begun."""
    with bench.study() as study:
        found: dict[str, list[int]] = {}
        for row in study.store.trials("made_up"):
            found.setdefault(row.combination, []).append(row.seed)
    return found


def test_an_exhaustive_sweep_trains_every_combination_with_every_seed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FINITE)
    with bench.study() as study:
        assert run(Coordinator(study)) == list(range(12))
        order = [row.seed for row in study.store.trials("made_up")]
    assert order == [0] * 4 + [1] * 4 + [2] * 4, "every combination once before one is repeated"
    assert [sorted(one) for one in seeds(bench).values()] == [[0, 1, 2]] * 4


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_a_sampler_repeats_what_it_draws(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path, SAMPLED.replace("tpe", kind))
    with bench.study() as study:
        run(Coordinator(study))
    found = seeds(bench)
    assert Counter(map(len, found.values())) == {3: 4}
    assert all(sorted(one) == [0, 1, 2] for one in found.values())


def test_a_restart_goes_on_with_the_seeds_that_are_owed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SAMPLED)
    with bench.study() as study:
        assert len(run(Coordinator(study), trials=4)) == 4
    with bench.study() as study:
        run(Coordinator(study))
    assert all(sorted(one) == [0, 1, 2] for one in seeds(bench).values()) and len(seeds(bench)) == 4


@pytest.mark.parametrize(
    "text", [FINITE, SAMPLED, FINITE.replace("repeats: 3", "").replace("{model", "{seed: [0, 1, 2], model")]
)
def test_what_does_not_fit_into_memory_is_tried_with_no_other_seed(tmp_path: Path, text: str) -> None:
    bench = Bench(tmp_path, text)
    with bench.study() as study:
        coordinator = Coordinator(study)
        for _ in range(2):  # with half the batch as well
            lease = coordinator.lease(ASK).lease
            assert lease and lease.trial == 0
            coordinator.finish(0, lease.fence, result(outcome="failed", failure="out_of_memory", reason="it is full"))
        assert study.row(0).state == "infeasible"
        run(coordinator, trials=2)
        left = study.trials_left()
        if text != SAMPLED:
            assert left == 12 - 2 - 3
    with bench.study() as study:
        assert study.trials_left() == left, "a restart knows it"
        run(Coordinator(study))
        rows = study.store.trials("made_up")
        assert [row.number for row in rows if row.combination == rows[0].combination] == [0]
        assert len(rows) == (12 if text == SAMPLED else 10)
        assert len({row.combination for row in rows}) == 4 + (text == SAMPLED)


def test_the_fixed_seed_is_the_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FINITE.replace("epochs: 1", "epochs: 1, seed: 40"))
    with bench.study() as study:
        run(Coordinator(study), trials=5)
        assert [row.seed for row in study.store.trials("made_up")] == [40, 40, 40, 40, 41]


def test_the_plan_counts_combinations_and_trials(tmp_path: Path) -> None:
    space = Bench(tmp_path, FINITE).space()
    found = plan(space, "tiny", data())
    assert (found["combinations"], found["trials"]) == (4, 12)


def test_a_space_that_travels_is_read_as_the_same(tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    space = Bench(tmp_path, FINITE).space()
    assert "seed" not in document(space, "tiny")["search"]
    copy = tmp_path / "copy.yaml"
    YAML().dump(document(space, "tiny"), copy)
    assert load(copy).search == space.search and load(copy).repeats == 3
