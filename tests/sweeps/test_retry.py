"""Trials that people cancel, and trials that they have tried again: one trial for budget and ranking."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import ASK, Bench, figure, run, train
from optuna.trial import TrialState

from results.ranking.ranking import rank
from runner.errors import UserError
from runner.protocol import EpochReport, Lease, Result
from sweeps.leases.coordinator import Coordinator, RefusedError
from sweeps.study.study import Study

THREE = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 4}
search: {lr: [0.001, 0.0003, 0.0001]}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, THREE)


def leased(coordinator: Coordinator) -> Lease:
    lease = coordinator.lease(ASK).lease
    assert lease
    return lease


def begun_and_failed(study: Study) -> None:
    """Trial 0 has two epochs and has failed for good."""
    study.ask()
    study.lease(0, 1, "w1", "Ann", "cpu")
    for epoch in (1, 2):
        study.report(0, EpochReport(epoch=epoch, metrics={"segm_mAP": figure(0, epoch)}, seconds=5.0))
    study.finish(0, Result(outcome="failed", reason="the labels are broken"), failure="data_error")


def test_a_retry_ends_as_one_trial(bench: Bench) -> None:
    with bench.study() as study:
        begun_and_failed(study)
        assert study.retry(0).state == "waiting"
    assert [t.state for t in bench.optuna()] == [TrialState.FAIL, TrialState.RUNNING]
    with bench.study() as study:  # a start in between changes nothing
        coordinator = Coordinator(study)
        lease = leased(coordinator)
        assert lease.trial == 0 and [e.epoch for e in lease.reported] == [1, 2]
        train(coordinator, lease)
        assert study.trials_left() == 2
        assert run(coordinator) == [2, 3], "Optuna's number 1 stands for the retry"
        assert coordinator.finished()
        rows = study.store.trials("made_up")
        assert [(row.number, row.state, row.retries) for row in rows] == [
            (0, "complete", 1), (2, "complete", 0), (3, "complete", 0),
        ]  # fmt: skip
        assert [row.trial for row in rank(study.record, rows).rows] == [3, 2, 0]
        assert [e.score for e in study.store.epochs("made_up", 0)] == [figure(0, e) for e in (1, 2, 3, 4)]
    failed, again, *_ = bench.optuna()
    assert (failed.state, again.state, again.value) == (TrialState.FAIL, TrialState.COMPLETE, figure(0, 4))
    assert again.intermediate_values == {e: figure(0, e) for e in (1, 2, 3, 4)}
    assert (again.user_attrs["retry_of"], again.user_attrs["retries"]) == (0, 1)
    assert again.user_attrs["folder"] == failed.user_attrs["folder"] and again.params == failed.params
    assert not [t for t in bench.optuna() if t.state == TrialState.RUNNING]


def test_a_retry_that_was_cut_off_leaves_nothing_open(bench: Bench) -> None:
    with bench.study() as study:
        begun_and_failed(study)
        study.followers.begin_again(study.row(0), lambda number: {})  # and then the power went
    with bench.study() as study:
        assert study.row(0).state == "failed"
        assert study.retry(0).state == "waiting"
        assert run(Coordinator(study)) == [0, 3, 4]
    assert [t.state.name for t in bench.optuna()] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]


def test_only_what_ended_without_a_score_is_tried_again(bench: Bench) -> None:
    with bench.study() as study:
        study.ask()
        with pytest.raises(UserError, match=r"^trial 0 of study made_up has not ended: it is waiting$"):
            study.retry(0)
        run(Coordinator(study), trials=1)
        with pytest.raises(UserError, match=r"^trial 0 of study made_up is complete: there is nothing to try again$"):
            study.retry(0)
    assert len(bench.optuna()) == 1


def test_a_pruned_trial_that_is_tried_again_is_trained_to_its_end(bench: Bench) -> None:
    scores = {0: 0.5, 1: 0.6, 2: 0.1}
    with bench.study("pruner={kind: median, startup_trials: 2}") as study:
        assert run(Coordinator(study), lambda trial, epoch: scores[trial]) == [0, 1, 2]
        pruned = study.row(2)
        assert pruned.state == "pruned"
        study.retry(2)
        coordinator = Coordinator(study)
        lease = leased(coordinator)
        assert (lease.trial, len(lease.reported)) == (2, len(study.store.epochs("made_up", 2)))
        train(coordinator, lease, lambda trial, epoch: scores[trial])
        assert (study.row(2).state, study.row(2).score) == ("complete", 0.1)
    assert [t.state.name for t in bench.optuna()] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]


def test_a_cancelled_trial_has_failed_and_counts(bench: Bench) -> None:
    with bench.study() as study:
        study.ask()
        coordinator = Coordinator(study)
        coordinator.cancel(0)
        row = study.row(0)
        assert (row.state, row.failure, row.reason) == ("failed", "cancelled", "cancelled by a user")
        with pytest.raises(RefusedError, match="trial 0 has ended"):
            coordinator.cancel(0)
        assert study.trials_left() == 2
    assert [(t.state, t.user_attrs["failure"]) for t in bench.optuna()] == [(TrialState.FAIL, "cancelled")]


def test_time_is_counted_once(bench: Bench) -> None:
    with bench.study("budget.gpu_hours=0.01") as study:  # 36 s
        begun_and_failed(study)
        assert study._tally.seconds == 10.0
        study.retry(0)
        assert run(Coordinator(study), trials=1) == [0]
        assert study._tally.seconds == 60.0
        assert study.end()
    with bench.study("budget.gpu_hours=0.01") as study:
        assert study._tally.seconds == 60.0


@pytest.mark.parametrize("kind", ["{kind: successive_halving, min_epochs: 1}", "{kind: hyperband, min_epochs: 1}"])
def test_a_pruner_remembers_over_a_start(bench: Bench, kind: str) -> None:
    """The rungs that trials have climbed lie in Optuna's tables, under the same numbers, and are read again."""
    bench.text = THREE.replace(
        "[0.001, 0.0003, 0.0001]", "[1, 2, 3, 4, 5, 6, 7, 8]".replace(",", "e-4,").replace("8]", "8e-4]")
    )
    scores = [0.5, 0.6, 0.1, 0.7, 0.2, 0.3, 0.8, 0.05]
    verdicts: list[list[str]] = []
    for stops in ([], range(1, 8)):
        bench.url = f"sqlite:///{bench.folder / f'{len(verdicts)}.db'}"
        for end in [*stops, 8]:
            with bench.study(f"pruner={kind}") as study:
                done = len(study.store.trials("made_up"))
                run(Coordinator(study), lambda trial, epoch: scores[trial] + epoch / 100, trials=end - done)
                rows = study.store.trials("made_up")
        verdicts.append([row.state for row in rows])
    assert verdicts[0] == verdicts[1]
    assert "pruned" in verdicts[0] and "complete" in verdicts[0]
