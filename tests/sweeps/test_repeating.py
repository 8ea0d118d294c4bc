"""``repeats: {most: n}``: one seed each, then seeds where places are close; by hand, by simulation, after restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import Bench, data, run

from results.records import TrialRecord
from sweeps.leases.coordinator import Coordinator
from sweeps.space.loader import load
from sweeps.space.plan import plan
from sweeps.space.problems import SpaceErrors
from sweeps.space.travel import document
from sweeps.study.repeating import Repeating

RATES = [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008]
EIGHT = f"""\
study: made_up
data: demo
scale: tiny
repeats: {{most: 4}}
fixed: {{epochs: 1}}
search: {{lr: {RATES}}}
"""
SAMPLED = """\
study: made_up
data: demo
scale: tiny
repeats: {most: 3}
fixed: {epochs: 1}
search: {optimizer: {SGD: {lr: {float: [0.001, 0.1], log: true}}, AdamW: {}}}
sampler: {kind: tpe}
budget: {trials: 30}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, EIGHT)


def seeds(bench: Bench) -> list[int]:
    """How many trials each combination had, in the order they were begun."""
    with bench.study() as study:
        rows = study.store.trials("made_up")
    counts = Counter(row.combination for row in rows)
    return [counts[name] for name in dict.fromkeys(row.combination for row in rows)]


def score_of(
    study_rows: Callable[[], list[TrialRecord]], means: list[float], noise: float
) -> Callable[[int, int], float]:
    """The score of a trial: its combination's mean and a seed's noise, the same whenever it is trained."""

    def figure(trial: int, epoch: int) -> float:
        row = study_rows()[trial]
        place = RATES.index(row.optuna_params["lr"])
        return means[place] + noise * float(np.random.default_rng([place, row.seed]).standard_normal())

    return figure


def trained(
    bench: Bench, means: list[float], noise: float = 0.001, stops: tuple[int | None, ...] = (None,)
) -> list[int]:
    for trials in stops:
        with bench.study() as study:
            run(Coordinator(study), score_of(lambda: study.store.trials("made_up"), means, noise), trials)
            assert trials or Coordinator(study).finished()
            assert trials or study.trials_left() == 0
    return seeds(bench)


FAR = [0.30, 0.31, 0.50, 0.33, 0.4995, 0.35, 0.36, 0.37]


def test_seeds_go_to_those_that_are_close_to_the_first(bench: Bench) -> None:
    found = trained(bench, FAR, noise=0.002)
    assert found[2] > 1 and found[4] > 1, "the two that are close"
    assert [found[i] for i in (0, 1, 3, 5, 6, 7)] == [1] * 6


def test_a_leader_that_stands_alone_ends_the_study(bench: Bench) -> None:
    found = trained(bench, [0.3, 0.3, 0.6, 0.3, 0.3, 0.3, 0.3, 0.3], noise=0.0005)
    assert found[2] >= 2 and sum(found) < 16, "the noise had to be learnt, the rest was not needed"


def test_restarts_change_nothing(tmp_path: Path) -> None:
    rows: list[list[tuple[object, int]]] = []
    for stops in ((None,), (3, 6, 1, None)):
        folder = tmp_path / str(len(stops))
        folder.mkdir()
        bench = Bench(folder, EIGHT)
        trained(bench, FAR, 0.004, stops)
        with bench.study() as study:
            rows.append([(row.optuna_params["lr"], row.seed) for row in study.store.trials("made_up")])
    assert rows[0] == rows[1] and len(rows[0]) > 10


def test_the_budget_of_trials_ends_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, EIGHT + "budget: {trials: 11}\n")
    assert trained(bench, [0.5] * 8, noise=0.01) and sum(seeds(bench)) == 11


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_a_sampler_keeps_a_third_of_its_budget_for_seeds(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path, SAMPLED.replace("kind: tpe", f"kind: {kind}"))
    with bench.study() as study:
        run(Coordinator(study), lambda trial, epoch: 0.5 + 0.01 * float(np.random.default_rng(trial).standard_normal()))
    found = seeds(bench)
    assert sum(found) == 30 and len(found) == 20 and max(found) <= 3
    with bench.study() as study:
        order = [row.combination for row in study.store.trials("made_up")]
    assert len(set(order[:20])) == 20, "each combination once before one is repeated"


def test_the_next_one_by_hand(bench: Bench, trial_of_bench: Callable[[float, int, float], TrialRecord]) -> None:
    """Means 0.50, 0.49, 0.47, one seed each. The leader has 1 <= root(1 + 1) runs: it is next. Then it has 2, and of
    the others 1 * 0.01^2 < 1 * 0.03^2: the second. Then 2 <= root(4 + 1): the leader. By now three degrees of freedom
    say that the noise is 0: it is over."""
    repeating = Repeating(bench.space(), [])
    history = [trial_of_bench(0.001, 0, 0.50), trial_of_bench(0.002, 0, 0.49), trial_of_bench(0.003, 0, 0.47)]
    expected = [(0.001, 1), (0.002, 1), (0.001, 2)]
    means = {0.001: 0.50, 0.002: 0.49, 0.003: 0.47}
    for row in history:
        repeating.begun(row.optuna_params)
        repeating.ended(row)
    told = []
    for _ in expected:
        assignment = repeating.next()
        assert assignment is not None
        rate, seed = assignment["lr"], assignment["seed"]
        told.append((rate, seed))
        repeating.begun(assignment)
        repeating.ended(trial_of_bench(rate, seed, means[rate]))
    assert told == expected
    assert repeating.next() is None


@pytest.fixture
def trial_of_bench(tmp_path: Path) -> Callable[[float, int, float], TrialRecord]:
    """A complete trial of a learning rate with a seed and a score; its number is that of the rate and seed."""
    other = tmp_path / "template"
    other.mkdir()
    bench = Bench(other, EIGHT)
    with bench.study() as study:
        run(Coordinator(study), trials=1)
        row = study.store.trials("made_up")[0]

    def make(rate: float, seed: int, score: float) -> TrialRecord:
        return replace(
            row, number=100 * RATES.index(rate) + seed, optuna_params={"seed": seed, "lr": rate}, seed=seed, score=score
        )

    return make


def test_equal_ones_are_given_up_once_in_twenty_at_most(
    bench: Bench, trial_of_bench: Callable[[float, int, float], TrialRecord]
) -> None:
    """Two equal combinations: seeds stop before all are spent where their 95 % intervals fell apart by chance."""
    space, rng, stopped, studies = bench.space(), np.random.default_rng(3), 0, 300
    for _ in range(studies):
        draws = 0.5 + 0.01 * rng.standard_normal((2, 4))
        repeating = Repeating(space, [trial_of_bench(RATES[i], 0, float(draws[i, 0])) for i in range(2)])
        spent = 2
        while assignment := repeating.next():
            repeating.begun(assignment)
            place, seed = RATES.index(assignment["lr"]), assignment["seed"]
            repeating.ended(trial_of_bench(assignment["lr"], seed, float(draws[place, seed])))
            spent += 1
        stopped += spent < 8
    assert stopped / studies <= 0.05


def test_the_best_is_found_more_often_than_with_as_many_seeds_for_all(
    bench: Bench, trial_of_bench: Callable[[float, int, float], TrialRecord]
) -> None:
    """Eight combinations, true gaps of 0 to 7 half points, one point of noise, 16 trainings, shared equally or not."""
    space, noise, budget, studies = bench.space(), 0.01, 16, 300
    truths = 0.5 - 0.005 * np.arange(8)
    rng = np.random.default_rng(7)
    right = {"equal": 0, "adaptive": 0}
    for _ in range(studies):
        draws = truths[:, None] + noise * rng.standard_normal((8, 4))
        right["equal"] += int(draws[:, :2].mean(axis=1).argmax() == 0)
        repeating = Repeating(space, [trial_of_bench(rate, 0, float(draws[i, 0])) for i, rate in enumerate(RATES)])
        for _ in range(budget - 8):
            assignment = repeating.next()
            if assignment is None:
                break
            repeating.begun(assignment)
            place, seed = RATES.index(assignment["lr"]), assignment["seed"]
            repeating.ended(trial_of_bench(assignment["lr"], seed, float(draws[place, seed])))
        means = [group.mean for group in repeating._groups.values()]
        right["adaptive"] += int(np.argmax(means) == 0)
    assert right["adaptive"] > right["equal"] + 15, right


def test_the_plan_and_what_travels(tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    space = Bench(tmp_path, EIGHT).space()
    found = plan(space, "tiny", data())
    assert (found["combinations"], found["trials"], found["sampler"]) == (8, 32, "exhaustive"), "32 at most"
    copy = tmp_path / "copy.yaml"
    YAML().dump(document(space, "tiny"), copy)
    again = load(copy)
    assert (again.adaptive, again.repeats, again.search) == (True, 4, space.search)
    small = Bench(tmp_path, EIGHT + "budget: {trials: 8}\n").space()
    assert plan(small, "tiny", data())["sampler"] == "exhaustive", "each combination once fits"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            EIGHT.replace("{most: 4}", "{mots: 4}"),
            "repeats.mots: unknown key; known are most; did you mean most?",
        ),
        (EIGHT.replace("most: 4", "most: 0"), "repeats.most: "),
        (
            SAMPLED.replace("budget: {trials: 30}", "budget: {hours: 1}"),
            "repeats: a sampler keeps a third of budget.trials for further seeds, and there is no such budget; "
            "write budget: {trials: 60}, or a number of repeats",
        ),
    ],
)
def test_mistakes_are_lines(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(SpaceErrors) as error:
        Bench(tmp_path, text).space()
    assert line.split(";")[0] in str(error.value)


def test_what_learnt_nothing_gets_no_further_seed(bench: Bench) -> None:
    """There is one contender, to which nobody is close, and with two seeds each nothing is known of the noise yet."""
    assert trained(bench, [0.01, 0.01, 0.5, *[0.01] * 5]) == [1] * 8
    (bench.folder / "two").mkdir()
    two = trained(Bench(bench.folder / "two", EIGHT), [0.01, 0.48, 0.5, *[0.01] * 5])
    assert two[1] > 1 and two[2] > 1 and sum(two) == 6 + two[1] + two[2]
