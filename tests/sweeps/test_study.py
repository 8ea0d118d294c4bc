"""The study and the store in step: order, budget, pruner, and a crash at every single write."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from made_up import ASK, Bench, figure, result, run, train
from optuna.trial import TrialState
from sqlalchemy import Connection, Engine, event

from results.errors import ResultsError
from results.records import EpochRecord
from results.store import Store
from runner.errors import UserError
from runner.protocol import EpochReport
from sweeps.leases.coordinator import Coordinator
from sweeps.space.exclusion import forbidden
from sweeps.space.walk import assignments, count
from sweeps.study.proposer import Proposer

IN_ORDER = [
    {"model": "mask_rcnn", "lr": 0.001},
    {"model": "mask_rcnn", "lr": 0.0003},
    {"model": "solov2", "lr": 0.001},
    {"model": "solov2", "lr": 0.0003},
]
INFINITE = "search.lr={float: [0.0001, 0.1], log: true}"
LARGE = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 2}
search:
  model: [mask_rcnn, cascade_mask_rcnn, ms_rcnn, htc, scnet, solov2]
  optimizer: {SGD: {lr: {float: [0.01, 0.1], step: 0.01}}, AdamW: {lr: [0.001, 0.0003]}, Adadelta: }
  batch_size: [1, 2, 3, 4]
forbid: [{model: [htc, solov2], optimizer: SGD}]
budget: {trials: 200}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


TWO_TRIALS = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 2}
search: {lr: [0.001, 0.0003]}
"""
TWO = [{"lr": 0.001}, {"lr": 0.0003}]


# what is tried


def test_a_finite_space_is_tried_in_the_order_of_the_file(bench: Bench) -> None:
    with bench.study() as study:
        numbers = [study.ask() for _ in range(5)]
        assert numbers == [0, 1, 2, 3, None]
        assert [row.optuna_params for row in study.store.trials("made_up")] == IN_ORDER
        assert not study.more_to_try()


def test_auto_is_exhaustive_where_the_space_fits_the_budget_else_tpe(bench: Bench) -> None:
    assert Proposer(bench.space("budget.trials=4"), []).kind == "exhaustive"
    assert Proposer(bench.space("budget.trials=3"), []).kind == "tpe"
    assert Proposer(bench.space(INFINITE, "budget.trials=9"), []).kind == "tpe"


def test_an_infinite_space_is_proposed_by_tpe_and_learned_from(bench: Bench) -> None:
    """Low learning rates score: TPE must go where the scores are, a random sampler would not."""
    scores: dict[int, float] = {}
    with bench.study(INFINITE, "budget.trials=40", "fixed.epochs=1") as study:
        coordinator = Coordinator(study)

        def figures(trial: int, epoch: int) -> float:
            scores[trial] = 1 - study.row(trial).optuna_params["lr"]
            return scores[trial]

        assert run(coordinator, figures) == list(range(40))
        rates = [1 - scores[trial] for trial in sorted(scores)]
    assert sum(rate < 0.002 for rate in rates[20:]) > 10, "10 of 20 would be rare by chance: a share of 0.43"


def test_200_asks_give_nothing_twice_and_nothing_forbidden(bench: Bench) -> None:
    bench.text = LARGE
    with bench.study() as study:
        space = study.space
        assert count(space) == (4 * 13 + 2 * 3) * 4
        coordinator = Coordinator(study)
        while (lease := coordinator.lease(ASK).lease) is not None:
            coordinator.finish(lease.trial, lease.fence, result(outcome="failed", reason="made up"))
        tried = [row.optuna_params for row in study.store.trials("made_up")]
        assert len(tried) == 200
        assert len({str(sorted(one.items())) for one in tried}) == 200
        assert not [one for one in tried if forbidden(space, one)]
        assert len({row.combination for row in study.store.trials("made_up")}) == 200


@pytest.mark.parametrize("kind", ["random", "tpe", "exhaustive"])
def test_every_sampler_tries_a_finite_space_out_and_then_ends(bench: Bench, kind: str) -> None:
    bench.text = LARGE
    space = bench.space(f"sampler.kind={kind}", "budget.trials=1000")
    proposer = Proposer(space, [])
    proposed = list(iter(proposer.propose, None))
    assert proposer.exhausted
    assert sorted(map(str, map(sorted, (one.items() for one in proposed)))) == sorted(
        map(str, map(sorted, (one.items() for one in assignments(space))))
    )


def test_steps_are_the_numbers_one_would_write(bench: Bench) -> None:
    """0.01 + 8 * 0.01 as floats is not 0.09: it would be another combination than the listed 0.09."""
    bench.text = LARGE
    space = bench.space("fixed.model=mask_rcnn", "search.optimizer.SGD.lr={float: [0.1, 0.7], step: 0.1}")
    rates = {one.get("optimizer.SGD.lr") for one in iter(Proposer(space, []).propose, None)}
    assert rates - {None} == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}


# crashes


class _Killer:
    """Kills this process, as SIGKILL does, when the write of a number is about to be committed."""

    def __init__(self, number: int) -> None:
        self.left, self.written = number, set[int]()
        event.listen(Engine, "after_cursor_execute", self.executed)
        event.listen(Engine, "commit", self.commit)

    def executed(self, connection: Connection, cursor: object, statement: str, *_: object) -> None:
        if statement.split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            self.written.add(id(connection))

    def commit(self, connection: Connection) -> None:
        if id(connection) not in self.written:
            return
        self.written.discard(id(connection))
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _start(bench: Bench) -> None:
    """A start, which makes or mends what it finds, and the first lease."""
    with bench.study() as study:
        Coordinator(study).lease(ASK)


def _life(bench: Bench) -> None:
    """A trial's whole life, with a hand-back in it, and the beginning of the next one."""
    with bench.study() as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        report = EpochReport(epoch=1, metrics={"segm_mAP": figure(0, 1)}, seconds=1.0)
        coordinator.report(0, lease.fence, report)
        coordinator.hand_back(0, lease.fence, "stopped", "stopped")
        run(coordinator, trials=1)
        lease = coordinator.lease(ASK).lease
        assert lease and lease.trial == 1


def _killed_at(write: int, bench: Bench, steps: Callable[[Bench], None]) -> bool:
    """Runs the steps in a process of their own, killed at a write; False where it did not come to that."""
    child = os.fork()
    if child == 0:
        try:
            _Killer(write)
            steps(bench)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the steps failed by themselves"
    return False


def _goes_on(bench: Bench) -> None:
    """A start after the crash loses nothing, counts nothing twice and leaves nothing open."""
    with bench.study() as study:
        rows = study.store.trials("made_up")
        assert all(row.state != "running" for row in rows)
        assert [trial.number for trial in study.followers.ledger.study.get_trials(deepcopy=False)] == [
            row.number for row in rows
        ]
        run(Coordinator(study))
        rows = study.store.trials("made_up")
        assert [row.number for row in rows] == [0, 1]
        assert [row.optuna_params for row in rows] == TWO
        assert {row.state for row in rows} == {"complete"}
        assert [[e.score for e in study.store.epochs("made_up", n)] for n in range(2)] == [
            [figure(n, 1), figure(n, 2)] for n in range(2)
        ]
    for trial in bench.optuna():
        n = trial.number
        assert (trial.state, trial.value) == (TrialState.COMPLETE, figure(n, 2))
        assert trial.intermediate_values == {1: figure(n, 1), 2: figure(n, 2)}
        assert trial.user_attrs["owner"] == "Ann" and trial.user_attrs["segm_mAP"] == figure(n, 2)
        assert trial.user_attrs["combination"] == rows[n].combination
        assert trial.user_attrs["folder"].endswith(f"/work_dirs/made_up/{n}")


def test_a_crash_at_any_write_loses_nothing(tmp_path: Path) -> None:
    for write in itertools.count():
        bench = Bench(tmp_path / str(write), TWO_TRIALS)
        bench.folder.mkdir()
        killed = _killed_at(write, bench, _life)
        try:
            _goes_on(bench)
        except Exception as error:
            raise AssertionError(f"killed at write {write}: {type(error).__name__}: {error}") from error
        shutil.rmtree(bench.folder)
        if not killed:
            break
    assert write > 15, "the steps write more often than that"


def test_a_crash_while_the_tables_are_made_loses_nothing(tmp_path: Path) -> None:
    for write in itertools.count():
        bench = Bench(tmp_path / str(write), TWO_TRIALS, fresh=True)
        bench.folder.mkdir()
        killed = _killed_at(write, bench, _start)
        _goes_on(bench)
        shutil.rmtree(bench.folder)
        if not killed:
            break
    assert write > 5


def test_a_crash_while_going_on_after_a_crash_loses_nothing_either(tmp_path: Path) -> None:
    """An end that Optuna was not told of, a trial enqueued but not begun: killed at each write of the recovery."""
    before = Bench(tmp_path / "before", TWO_TRIALS)
    before.folder.mkdir()
    with before.study() as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        for epoch in (1, 2):  # in the store only
            study.store.add_epoch("made_up", 0, EpochRecord(epoch, figure(0, epoch), {"segm_mAP": figure(0, epoch)}))
        study.store.finish("made_up", 0, state="complete")
        study.followers.ledger.study.enqueue_trial(TWO[1])
    for write in itertools.count():
        bench = Bench(tmp_path / str(write), TWO_TRIALS)
        shutil.copytree(before.folder, bench.folder)
        killed = _killed_at(write, bench, _start)
        _goes_on(bench)
        shutil.rmtree(bench.folder)
        if not killed:
            break


class _Faulty(Store):
    """A store whose database fails once at each kind of write."""

    faults: ClassVar[set[str]] = set()

    def _fail(self, what: str) -> None:
        if what in self.faults:
            self.faults.discard(what)
            raise ResultsError(f"{what} failed")

    def add_epoch(self, *arguments: Any) -> bool:
        self._fail("add_epoch")
        return super().add_epoch(*arguments)

    def finish(self, *arguments: Any, **fields: Any) -> bool:
        self._fail("finish")
        return super().finish(*arguments, **fields)


def test_what_the_database_refused_is_taken_when_it_is_said_again(bench: Bench) -> None:
    with bench.study(store=_Faulty) as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        report = EpochReport(epoch=1, metrics={"segm_mAP": figure(0, 1)}, seconds=1.0)
        _Faulty.faults = {"add_epoch", "finish"}
        with pytest.raises(ResultsError, match="add_epoch failed"):
            coordinator.report(0, lease.fence, report)
        coordinator.report(0, lease.fence, report)
        assert [e.epoch for e in study.store.epochs("made_up", 0)] == [1]
        with pytest.raises(ResultsError, match="finish failed"):
            coordinator.finish(0, lease.fence, result())
        assert not coordinator.finished()
        coordinator.finish(0, lease.fence, result())
        assert study.row(0).state == "complete"


# starting again


def test_a_finished_study_started_again_does_nothing(bench: Bench) -> None:
    with bench.study() as study:
        assert run(Coordinator(study)) == [0, 1, 2, 3]
    trials = bench.optuna()
    with bench.study() as study:
        before = study.store.trials("made_up")
        coordinator = Coordinator(study)
        assert coordinator.finished()
        reply = coordinator.lease(ASK)
        assert (reply.lease, reply.wait) == (None, False)
        assert study.ask() is None
        assert study.store.trials("made_up") == before
    assert bench.optuna() == trials


def test_a_larger_budget_goes_on(bench: Bench) -> None:
    with bench.study("budget.trials=2") as study:
        assert run(Coordinator(study)) == [0, 1]
        assert study.trials_left() == 0
    with bench.study("budget.trials=4") as study:
        assert study.trials_left() == 2
        assert run(Coordinator(study)) == [2, 3]
        tried = [row.optuna_params for row in study.store.trials("made_up")]
        assert sorted(map(str, tried)) == sorted(map(str, IN_ORDER))
        record = study.store.study("made_up")
        assert record and record.budget["trials"] == 4


def test_another_space_under_the_same_name_is_refused(bench: Bench) -> None:
    with bench.study() as study:
        run(Coordinator(study))
    before = bench.dump()
    with pytest.raises(UserError) as refused, bench.study("fixed.epochs=3", "search.lr=[0.001]"):
        pass
    assert str(refused.value) == (
        "study made_up exists with another space: search.lr: [0.001, 0.0003] there, [0.001] here; "
        "fixed.epochs: 2 there, 3 here; name another study with --set study=NAME, or another database with --storage"
    )
    assert bench.dump() == before


def test_changed_data_is_refused(bench: Bench) -> None:
    with bench.study():
        pass
    before = bench.dump()
    bench.data = bench.data.model_copy(update={"hash": "cd" * 32})
    with pytest.raises(UserError) as refused, bench.study():
        pass
    assert str(refused.value) == (
        "study made_up: the data changed since it began: made up has hash cdcdcdcdcdcd now, abababababab then; "
        "put the old data back, or name another study with --set study=NAME"
    )
    assert bench.dump() == before


# how it ends


def test_the_budget_ends_a_study(bench: Bench) -> None:
    with bench.study("study=until", "budget.until=0.1015") as study:  # trial 1 ends at 0.1012, trial 2 at 0.1022
        assert run(Coordinator(study)) == [0, 1, 2]
    with bench.study("study=gpu", "budget.gpu_hours=0.03") as study:  # 60 s a trial: 108 s are two of them
        assert run(Coordinator(study)) == [0, 1]
        assert not study.more_to_try()


def test_a_trial_that_failed_counts_and_the_next_is_another_one(bench: Bench) -> None:
    with bench.study("budget.trials=3") as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        coordinator.finish(0, lease.fence, result(outcome="infeasible", reason="out of GPU memory"))
        assert run(coordinator) == [1, 2]
        assert study.store.counts("made_up")["infeasible"] == 1
    assert [t.state for t in bench.optuna()] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert bench.optuna()[0].user_attrs["reason"] == "out of GPU memory"


def test_the_median_pruner_prunes(bench: Bench) -> None:
    lines: list[str] = []
    scores = {0: 0.5, 1: 0.6, 2: 0.1, 3: 0.7}
    with bench.study("pruner={kind: median, startup_trials: 2}", "fixed.epochs=3") as study:
        coordinator = Coordinator(study, lines.append)
        assert run(coordinator, lambda trial, epoch: scores[trial]) == [0, 1, 2, 3]
        states = [row.state for row in study.store.trials("made_up")]
        assert states == ["complete", "complete", "pruned", "complete"]
        assert [e.epoch for e in study.store.epochs("made_up", 2)] == [1]
    assert "trial 2 pruned: stopped by the pruner" in lines
    assert [t.state for t in bench.optuna()][2] == TrialState.PRUNED


def test_a_list_is_tried_out_to_its_last_epoch(bench: Bench) -> None:
    with bench.study("search.lr=[0.001, 0.0003, 0.0001, 0.00003]") as study:
        run(Coordinator(study), lambda trial, epoch: 0.5 - trial / 20)
        assert study.store.counts("made_up")["complete"] == 8


def test_where_a_sampler_learns_the_median_stops_what_lags(bench: Bench) -> None:
    """Also what is of another family than all before it; not unless five are complete."""
    with bench.study("search.lr={float: [0.0001, 0.01]}", "budget.trials=8") as study:
        run(Coordinator(study), lambda trial, epoch: 0.5 - trial / 20)
        assert [row.state for row in study.store.trials("made_up")] == ["complete"] * 5 + ["pruned"] * 3


def test_a_complete_trial_without_the_objective_has_failed(bench: Bench) -> None:
    with bench.study() as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        train(coordinator, lease, lambda trial, epoch: None)
        row = study.row(0)
        assert (row.state, row.reason) == ("failed", "no validation gave segm_mAP")
    assert bench.optuna()[0].state == TrialState.FAIL


def test_optuna_shows_the_objective_by_its_name(bench: Bench) -> None:
    with bench.study("objective=bbox_mAP", "search.model=[mask_rcnn, htc]") as study:
        assert study.followers.ledger.study.metric_names == ["bbox_mAP"]
        assert study.followers.ledger.study.direction.name == "MAXIMIZE"


def test_a_database_may_have_braces_in_its_name(tmp_path: Path) -> None:
    """Optuna formats the URLs that it is given."""
    with Bench(tmp_path, fresh=True, url=f"sqlite:///{tmp_path}/a {{b}}.db").study() as study:
        assert run(Coordinator(study)) == [0, 1, 2, 3]
