"""A score against a cost: from the space to Optuna's tables, the front of the ranking, and what NSGA-II makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import ASK, Bench, record, result, run
from optuna.storages import RDBStorage
from optuna.study import StudyDirection, load_study

from results.ranking.pareto import front
from results.ranking.ranking import rank
from results.tables.tables import render
from runner.errors import UserError
from runner.protocol import EpochReport
from sweeps.leases.coordinator import Coordinator
from sweeps.space.problems import SpaceErrors
from sweeps.study.proposer import Proposer

TEXT = """\
study: made_up
data: demo
scale: tiny
objective: [segm_mAP, seconds_per_image]
fixed: {epochs: 1}
search:
  model: [mask_rcnn, htc, scnet, solov2]
  batch_size: [1, 2, 3, 4, 5, 6, 7, 8]
sampler: {kind: nsga2, population: 4}
budget: {trials: 20}
"""


def trained(bench: Bench, *overrides: str, trials: int | None = None) -> None:
    """Larger batches score more and take longer; HTC takes longer for nothing."""
    with bench.study(*overrides) as study:
        coordinator = Coordinator(study)
        while (trials is None or trials > 0) and (lease := coordinator.lease(ASK).lease) is not None:
            params = study.row(lease.trial).optuna_params
            score, slow = params["batch_size"] / 10, params["model"] == "htc"
            report = EpochReport(epoch=1, metrics={"segm_mAP": score}, seconds=1.0)
            coordinator.report(lease.trial, lease.fence, report)
            paid = params["batch_size"] / 100 + slow
            end = result(seconds_per_image=paid, parameters=1000 * params["batch_size"])
            coordinator.finish(lease.trial, lease.fence, end)
            trials = None if trials is None else trials - 1


def test_optuna_knows_both_goals_and_the_same_front(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TEXT)
    trained(bench, trials=7)
    trained(bench)  # goes on
    study = load_study(study_name="made_up", storage=RDBStorage(bench.storage))
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert study.metric_names == ["segm_mAP", "seconds_per_image"]
    with bench.study() as ours:
        record = ours.store.study("made_up")
        assert record is not None
        ranking = rank(record, ours.store.trials("made_up"))
    marked = {row.trial for row in ranking.rows if row.front}
    assert marked == {trial.number for trial in study.best_trials}
    assert 0 < len(marked) < 20
    document = json.loads(render(ranking, "json"))
    assert document["against"] == "seconds_per_image"
    assert {row["trial"] for row in document["rows"] if row["front"]} == marked
    assert all(row["seconds_per_image"] > 0 for row in document["rows"])
    table = render(ranking, "table", width=140)
    assert "ms/image" in table and sum(" * " in line for line in table.splitlines()) == len(marked)


@pytest.mark.parametrize("kind", ["auto", "tpe", "random", "qmc", "nsga2", "exhaustive"])
def test_every_sampler_takes_two_goals(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path, TEXT)
    sampler = f"sampler={{kind: {kind}}}"
    trained(bench, sampler, trials=15)
    trained(bench, sampler)
    trials = bench.optuna()
    assert len({str(trial.params) for trial in trials}) == 20
    assert {len(trial.values or ()) for trial in trials} == {2}


def test_nsga2_leaves_what_costs_more_for_nothing(tmp_path: Path) -> None:
    text = TEXT.replace("[1, 2, 3, 4, 5, 6, 7, 8]", "{int: [1, 500]}").replace("population: 4", "population: 10")
    space = Bench(tmp_path, text).space()
    proposer, found = Proposer(space, []), []
    for number in range(120):
        assignment = proposer.propose()
        assert assignment is not None
        proposer.begun(number, assignment)
        size = float(assignment["batch_size"])
        paid = size + 1000 * (assignment["model"] == "htc")
        proposer.ended(record(number, assignment, state="complete", score=size / 500, seconds_per_image=paid))
        found.append(assignment["model"])
    assert found[60:].count("htc") < 6, "by chance fifteen of sixty"


def test_a_trial_without_its_cost_has_failed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TEXT)
    with bench.study() as study:
        run(Coordinator(study), trials=1)
        row = study.row(0)
    assert (row.state, row.reason) == ("failed", "no validation gave seconds_per_image")
    with bench.study("objective=[segm_mAP, parameters]", "study=other") as study:
        run(Coordinator(study), trials=1)
        assert study.row(0).state == "complete"


def test_another_goal_is_another_study(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TEXT)
    with bench.study():
        pass
    expected = r"objective.against: seconds_per_image there, parameters here"
    with pytest.raises(UserError, match=expected), bench.study("objective=[segm_mAP, parameters]"):
        pass


@pytest.mark.parametrize(
    ("objective", "line"),
    [
        ("[segm_mAP, seconds_per_img]", "objective[1]: expected one of seconds_per_image, peak_memory_mb, parameters, "
         "found seconds_per_img; did you mean seconds_per_image?"),
        ("[segm_mAP, parameters, seconds]", "objective: expected a metric and what it is weighed against, found 3 "
         "entries; write [segm_mAP, seconds_per_image], or segm_mAP alone"),
        ("{metric: segm_mAP, against: 3}", "objective.against: expected one of seconds_per_image, peak_memory_mb, "
         "parameters, found 3"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, objective: str, line: str) -> None:
    with pytest.raises(SpaceErrors) as refused:
        Bench(tmp_path, TEXT.replace("[segm_mAP, seconds_per_image]", objective)).space()
    assert line in str(refused.value)


def test_no_pruner_looks_at_one_goal_of_two(tmp_path: Path) -> None:
    with pytest.raises(SpaceErrors, match="median looks at segm_mAP alone, and there are two goals; leave pruner out"):
        Bench(tmp_path, TEXT).space("pruner={kind: median}")


@given(st.dictionaries(st.integers(0, 50), st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25))
def test_the_front_is_what_nothing_dominates(points: dict[int, tuple[float, float]]) -> None:
    def beaten(one: tuple[float, float]) -> bool:
        return any(s >= one[0] and c <= one[1] and (s, c) != one for s, c in points.values())

    assert front(points) == {key for key, one in points.items() if not beaten(one)}
