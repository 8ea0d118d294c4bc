"""Lease machine, server side, store and Optuna against a plain model, in simulated time, under every interleaving."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, get_args

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from made_up import ASK, Bench, figure, result
from optuna.trial import TrialState

from runner.protocol import EpochReport, Failure, Lease, Result
from sweeps.leases.coordinator import Coordinator, RefusedError

EPOCHS, TRIALS, LEASE = 3, 7, 30.0
SPACE = f"""\
study: made_up
data: demo
scale: tiny
fixed: {{epochs: {EPOCHS}, batch_size: 4}}
search: {{lr: [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]}}
budget: {{trials: {TRIALS}, trial_hours: 2}}
"""
WORKERS = ("w1", "w2", "w3")
FAILURES: tuple[Failure, ...] = get_args(Failure)
ENDING = ("nan_loss", "data_error", "code_error", "time_out")
LOST = ("lost_worker", "preempted", "node_fault")


@dataclass
class Row:
    """What we expect of a trial."""

    state: str = "waiting"
    failure: str | None = None
    holder: str | None = None
    fence: int = 0
    until: float = 0.0
    epochs: int = 0
    batch: int = 4
    crashes: int = 0
    lost: int = 0
    retries: int = 0

    def shrunk(self) -> bool:
        return self.batch == 2


@dataclass
class Model:
    """The whole study in words so simple that they can hardly be wrong."""

    now: float = 0.0
    rows: dict[int, Row] = field(default_factory=dict)
    taken: int = 0  # numbers of Optuna's tables: a retry takes one too, and no trial is called so afterwards
    ended: list[tuple[int, str | None]] = field(default_factory=list)
    watched: list[str | None] = field(default_factory=list)
    paused: bool = False
    stopping: bool = False

    def fail(self, number: int, failure: str) -> None:
        """The attempt that runs ends so."""
        row = self.rows[number]
        row.holder, row.state = None, "waiting"
        if failure == "out_of_memory":
            if row.shrunk():
                self.end(number, "infeasible", failure)
            else:
                row.batch, row.epochs, row.crashes, row.lost = 2, 0, 0, 0
        elif failure in ENDING:
            self.end(number, "failed", failure)
        elif failure == "crashed":
            row.crashes += 1
            if row.crashes == 3:
                self.end(number, "failed", failure)
        elif failure in LOST:
            row.lost += 1
            if row.lost == 20:
                self.end(number, "failed", failure)

    def end(self, number: int, state: str, failure: str | None) -> None:
        row = self.rows[number]
        row.state, row.failure, row.holder = state, failure, None
        self.ended = [one for one in self.ended if one[0] != number] + [(number, failure)]
        if failure != "cancelled":
            self.watched.append(failure)
            if len(self.watched) == 5 and len(set(self.watched)) == 1 and failure:
                self.paused = True

    def expire(self) -> None:
        for number, row in self.rows.items():
            if row.holder and row.until <= self.now:
                self.fail(number, "lost_worker")

    def lease(self, worker: str) -> int | None:
        """Which trial the worker gets."""
        for number, row in self.rows.items():
            if row.holder and (row.holder == worker or row.until <= self.now):
                self.fail(number, "lost_worker")
        waiting = [number for number, row in self.rows.items() if row.state == "waiting"]
        if not waiting and len(self.rows) < TRIALS:
            waiting = [self.taken]
            self.rows[self.taken] = Row()
            self.taken += 1
        if not waiting:
            return None
        row = self.rows[waiting[0]]
        row.state, row.holder, row.fence, row.until = "running", worker, row.fence + 1, self.now + LEASE
        return waiting[0]


class CoordinatorMachine(RuleBasedStateMachine):
    """Plays workers, users, the clock and the power switch."""

    steps: ClassVar[int] = 0

    @initialize()
    def open(self) -> None:
        self.stack = contextlib.ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.bench = Bench(Path(folder), SPACE)
        self.model = Model()
        self.leases: list[Lease] = []
        self.start(False)

    def start(self, workers_survive: bool) -> None:
        self.running = contextlib.ExitStack()
        self.study = self.running.enter_context(self.bench.study(workers_survive=workers_survive))
        self.coordinator = Coordinator(self.study, clock=lambda: self.model.now)

    def holds(self, lease: Lease) -> bool:
        row = self.model.rows[lease.trial]
        return row.holder is not None and row.fence == lease.fence

    def say(self, lease: Lease, what: Any) -> bool:
        """Says it under a lease; whether it was taken, as it should be exactly while the lease holds."""
        holds = self.holds(lease)
        try:
            what()
        except RefusedError:
            assert not holds, "the holder was refused"
            return False
        assert holds, "an old lease was heard"
        return True

    @rule(worker=st.sampled_from(WORKERS))
    def lease(self, worker: str) -> None:
        reply = self.coordinator.lease(ASK.model_copy(update={"worker": worker}))
        if self.model.paused:
            assert (reply.lease, reply.wait) == (None, True)
            return
        number = self.model.lease(worker)
        if number is None:
            unfinished = any(row.state in ("waiting", "running") for row in self.model.rows.values())
            assert (reply.lease, reply.wait) == (None, unfinished)
            return
        assert reply.lease, "a waiting trial was withheld"
        row, lease = self.model.rows[number], reply.lease
        assert (lease.trial, lease.fence) == (number, row.fence)
        settings = lease.combination.settings
        assert (settings["batch_size"], settings["accumulate"]) == ((2, 2) if row.shrunk() else (4, 1))
        assert [one.epoch for one in lease.reported] == list(range(1, row.epochs + 1))
        assert lease.limit_seconds == 7200 - row.epochs
        self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        lease = self.pick(data)
        if self.say(lease, lambda: self.coordinator.heartbeat(lease.trial, lease.fence)):
            self.model.rows[lease.trial].until = self.model.now + LEASE

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), again=st.booleans())
    def report(self, data: st.DataObject, again: bool) -> None:
        lease = self.pick(data)
        row = self.model.rows[lease.trial]
        epoch = max(1, row.epochs) if again else min(row.epochs + 1, EPOCHS)
        told = EpochReport(epoch=epoch, metrics={"segm_mAP": figure(lease.trial, epoch)}, seconds=1.0)
        if self.say(lease, lambda: self.coordinator.report(lease.trial, lease.fence, told)):
            row.until = self.model.now + LEASE
            if epoch > row.epochs:
                row.epochs, row.crashes, row.lost = epoch, 0, 0

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        lease = self.pick(data)
        if self.model.rows[lease.trial].epochs < EPOCHS:
            return
        if self.say(lease, lambda: self.coordinator.finish(lease.trial, lease.fence, result())):
            self.model.end(lease.trial, "complete", None)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES), as_result=st.booleans())
    def fail(self, data: st.DataObject, failure: Failure, as_result: bool) -> None:
        lease = self.pick(data)

        def tell() -> None:
            if as_result:
                ended = Result(outcome="failed", failure=failure, reason="so it is")
                self.coordinator.finish(lease.trial, lease.fence, ended)
            else:
                self.coordinator.hand_back(lease.trial, lease.fence, "so it is", failure)

        if self.say(lease, tell):
            self.model.fail(lease.trial, failure)

    @rule(number=st.integers(0, 2 * TRIALS))
    def cancel(self, number: int) -> None:
        there = number in self.model.rows and self.model.rows[number].state in ("waiting", "running")
        try:
            self.coordinator.cancel(number)
        except RefusedError:
            assert not there
        else:
            assert there
            self.model.end(number, "failed", "cancelled")

    @rule(number=st.integers(0, 2 * TRIALS))
    def retry(self, number: int) -> None:
        there = number in self.model.rows and self.model.rows[number].state in ("failed", "infeasible")
        try:
            self.coordinator.retry(number)
        except RefusedError:
            assert not there
            return
        assert there
        row = self.model.rows[number]
        if row.state == "infeasible":
            row.batch = 4
        if row.state == "infeasible" or row.epochs == EPOCHS:
            row.epochs = 0
        row.state, row.failure, row.crashes, row.lost = "waiting", None, 0, 0
        row.retries += 1
        self.model.taken += 1

    @rule()
    def pause(self) -> None:
        self.coordinator.pause()
        self.model.paused = True

    @precondition(lambda self: self.model.paused)
    @rule()
    def resume(self) -> None:
        self.coordinator.resume()
        self.model.paused, self.model.watched = False, []

    @rule(seconds=st.floats(0, 1.5 * LEASE))
    def wait(self, seconds: float) -> None:
        self.model.now += seconds
        self.coordinator.tick()
        self.model.expire()

    @rule(workers_survive=st.booleans(), away=st.floats(0, 3 * LEASE))
    def restart(self, workers_survive: bool, away: float) -> None:
        """The server is killed and started again; what its workers hold is theirs still, or nobody's."""
        self.running.close()
        self.model.now += away
        self.start(workers_survive)
        for row in self.model.rows.values():
            if row.holder and workers_survive:
                row.until = self.model.now + LEASE
            elif row.holder:
                row.holder, row.state = None, "waiting"
        gone = {number for number, row in self.model.rows.items() if row.state in ("waiting", "running")}
        self.model.watched = [f for number, f in self.model.ended if f != "cancelled" and number not in gone]
        self.model.paused = False  # whoever starts a study goes on with it

    def pick(self, data: st.DataObject) -> Lease:
        """One of the leases there ever were; the latest ones more often."""
        return data.draw(st.sampled_from([*self.leases, *self.leases[-3:]]))

    @invariant()
    def store_and_status_say_what_the_model_says(self) -> None:
        CoordinatorMachine.steps += 1
        rows = self.study.store.trials("made_up")
        assert [(r.number, r.state, r.failure, r.fence, r.retries) for r in rows] == [
            (number, r.state, r.failure, r.fence, r.retries) for number, r in self.model.rows.items()
        ]
        assert [bool(row.adjusted) for row in rows] == [row.shrunk() for row in self.model.rows.values()]
        counted = Counter(row.state for row in self.model.rows.values())
        assert {k: v for k, v in self.coordinator.status()["trials"].items() if v} == dict(counted)
        assert (self.coordinator.paused is not None) == self.model.paused

    def teardown(self) -> None:
        """Whatever happened, one good worker ends every trial, and nothing is counted twice."""
        if not hasattr(self, "coordinator"):
            return
        self.coordinator.resume()
        self.model.now += 2 * LEASE
        while lease := self.coordinator.lease(ASK.model_copy(update={"worker": "good"})).lease:
            for epoch in range(len(lease.reported) + 1, EPOCHS + 1):
                told = EpochReport(epoch=epoch, metrics={"segm_mAP": figure(lease.trial, epoch)}, seconds=1.0)
                self.coordinator.report(lease.trial, lease.fence, told)
            self.coordinator.finish(lease.trial, lease.fence, result())
        rows = self.study.store.trials("made_up")
        assert len(rows) == TRIALS and self.coordinator.finished()
        for row in rows:
            epochs = [epoch.epoch for epoch in self.study.store.epochs("made_up", row.number)]
            assert epochs == list(range(1, len(epochs) + 1)), "an epoch is missing, or there twice"
            # one that was cancelled, or timed out, after its last report has that score too
            assert row.state != "complete" or row.score == figure(row.number, EPOCHS), row
            attempts = self.study.store.attempts("made_up", row.number)
            assert [one.fence for one in attempts] == list(range(1, row.fence + 1))
            assert all(one.ended_at and one.end for one in attempts)
        self.optuna_agrees()
        self.running.close()
        self.stack.close()

    def optuna_agrees(self) -> None:
        shown = self.bench.optuna()
        assert not [trial for trial in shown if not trial.state.is_finished()], "a trial was left running"
        complete = [trial.value for trial in shown if trial.state == TrialState.COMPLETE]
        rows = [row for row in self.study.store.trials("made_up") if row.state == "complete"]
        assert sorted(complete) == sorted(row.score for row in rows)


QUICK = settings(
    max_examples=12, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def test_server_and_model_agree() -> None:
    run_state_machine_as_test(CoordinatorMachine, settings=QUICK)  # type: ignore[no-untyped-call]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_server_and_model_agree_for_ten_thousand_steps() -> None:
    CoordinatorMachine.steps = 0
    long = settings(QUICK, max_examples=200, stateful_step_count=60)
    run_state_machine_as_test(CoordinatorMachine, settings=long)  # type: ignore[no-untyped-call]
    assert CoordinatorMachine.steps >= 10_000


def test_a_retry_takes_a_number() -> None:
    """Found by the long run: the next trial is 2, for 1 is the retry of 0 in Optuna's tables."""
    machine = CoordinatorMachine()
    machine.open()
    machine.lease(worker="w3")
    machine.cancel(number=0)
    machine.retry(number=0)
    machine.cancel(number=0)
    machine.lease(worker="w2")
    assert list(machine.model.rows) == [0, 2]
    machine.teardown()
