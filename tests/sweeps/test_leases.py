"""The lease machine under every interleaving hypothesis finds: nothing lost, nothing counted twice."""

from __future__ import annotations

import dataclasses
from typing import get_args

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from runner.protocol import Failure
from sweeps.leases import events
from sweeps.leases.events import (
    Action,
    Added,
    Cancelled,
    Close,
    Finished,
    GiveUp,
    Grant,
    HandedBack,
    LeaseWanted,
    NothingWaits,
    Passed,
    Record,
    Refuse,
    Renewed,
    Reported,
    Requeue,
    Restart,
    Retried,
)
from sweeps.leases.failures import MAX_CRASHES, MAX_LOST, History
from sweeps.leases.machine import Kept, Leases, restore

LEASE = 30.0
WORKERS = st.sampled_from(["a", "b", "c"])
FAILURES: tuple[Failure, ...] = get_args(Failure)


@dataclasses.dataclass
class Row:
    """A trial as the store has it."""

    fence: int = 0
    epoch: int = 0
    done: bool = False
    batch: int = 4
    history: History = dataclasses.field(default_factory=History)


class LeaseMachine(RuleBasedStateMachine):
    """Plays server, store and workers; the store is what a restart finds."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.state = Leases(LEASE)
        self.now = 0.0
        self.store: dict[int, Row] = {}
        self.holder: dict[int, tuple[str, int]] = {}
        self.ends: dict[int, int] = {}
        self.wanted: dict[int, int] = {}  # how often somebody wanted it to come to an end

    def send(self, event: events.Event) -> tuple[Action, ...]:
        before = self.state
        self.state, actions = before.step(event)
        for action in actions:
            self.take(action, before)
        return actions

    def take(self, action: Action, before: Leases) -> None:
        match action:
            case Grant(trial, worker, fence):
                assert trial not in self.holder, "leased to two workers"
                assert fence > self.store[trial].fence, "a fencing number came twice"
                assert not self.store[trial].done, "an ended trial was leased"
                self.store[trial].fence = fence
                self.holder[trial] = (worker, fence)
            case Requeue(trial, failure):
                assert (self.holder.pop(trial, None) is None) == (failure is None)
                if failure:
                    self.store[trial].history = self.store[trial].history.after(failure)
            case Restart(trial, "out_of_memory", batch, accumulate):
                del self.holder[trial]
                row = self.store[trial]
                assert (batch, batch * accumulate) == (row.batch // 2, 4) and not row.history.shrunk
                self.store[trial] = Row(row.fence, 0, False, batch, History(shrunk=True))
            case Record(trial, epoch):
                row = self.store[trial]
                assert epoch > row.epoch, "an epoch was stored twice"
                row.epoch, row.history = epoch, row.history.after_epoch()
            case Close(trial) | GiveUp(trial, _, _, _):
                self.holder.pop(trial, None)
                self.store[trial].done = True
                self.ends[trial] = self.ends.get(trial, 0) + 1
            case Refuse(_):
                assert self.state == before, "a refusal changed something"

    def valid(self, grant: Grant) -> bool:
        return self.holder.get(grant.trial, ("", 0))[1] == grant.fence

    @rule()
    def add(self) -> None:
        trial = len(self.store)
        self.store[trial], self.wanted[trial] = Row(), 1
        self.send(Added(trial))

    @rule(target=held, worker=WORKERS)
    def lease(self, worker: str) -> object:
        actions = self.send(LeaseWanted(worker, self.now))
        if isinstance(actions[-1], NothingWaits):
            open_trials = [n for n, row in self.store.items() if not row.done and n not in self.holder]
            assert not open_trials, "a waiting trial was withheld"
            return multiple()
        assert isinstance(actions[-1], Grant)
        return actions[-1]

    @rule(grant=held)
    def heartbeat(self, grant: Grant) -> None:
        ok = self.valid(grant)
        (action,) = self.send(Renewed(grant.trial, grant.fence, self.now))
        assert isinstance(action, Refuse) != ok

    @rule(grant=held, epoch=st.integers(1, 5))
    def report(self, grant: Grant, epoch: int) -> None:
        ok = self.valid(grant)
        (action,) = self.send(Reported(grant.trial, grant.fence, epoch, self.now))
        assert isinstance(action, Refuse) != ok

    @rule(grant=consumes(held))
    def finish(self, grant: Grant) -> None:
        ok = self.valid(grant)
        (action,) = self.send(Finished(grant.trial, grant.fence))
        assert isinstance(action, Close) == ok

    @rule(grant=held, failure=st.sampled_from(FAILURES))
    def fail(self, grant: Grant, failure: Failure) -> None:
        ok, row = self.valid(grant), self.store[grant.trial]
        (action,) = self.send(HandedBack(grant.trial, grant.fence, failure, row.batch, 4 // row.batch))
        assert isinstance(action, Refuse) != ok

    @rule(trial=st.integers(0, 5))
    def cancel(self, trial: int) -> None:
        may = trial in self.store and not self.store[trial].done
        (action,) = self.send(Cancelled(trial))
        assert (action == Close(trial, cancelled=True)) == may
        assert isinstance(action, Refuse) != may

    @rule(trial=st.integers(0, 5))
    def retry(self, trial: int) -> None:
        row = self.store.get(trial, Row())
        (action,) = self.send(Retried(trial, row.fence, row.epoch, row.history.shrunk))
        assert isinstance(action, Requeue) == row.done
        if row.done:
            self.wanted[trial] += 1
            self.store[trial] = Row(row.fence, row.epoch, False, row.batch, History(shrunk=row.history.shrunk))

    @rule(seconds=st.floats(0, 2 * LEASE))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.send(Passed(self.now))
        assert all(self.state.trials[trial].until > self.now for trial in self.holder)

    @rule(workers_survive=st.booleans())
    def restart(self, workers_survive: bool) -> None:
        """The server dies and reads the store; workers may still believe in their leases."""
        if not workers_survive:
            self.holder.clear()
        rows = [
            Kept(n, row.fence, row.epoch, row.done, self.holder.get(n, (None,))[0], row.history)
            for n, row in self.store.items()
        ]
        self.state = restore(LEASE, rows, self.now)

    @invariant()
    def nothing_lost_or_counted_twice(self) -> None:
        assert set(self.state.unfinished()) == {n for n, row in self.store.items() if not row.done}
        assert all(self.state.has_ended(n) == row.done for n, row in self.store.items())
        assert self.state.running() == {n: worker for n, (worker, _) in self.holder.items()}
        assert all(held.history == self.store[n].history for n, held in self.state.trials.items())
        assert all(times <= self.wanted[n] for n, times in self.ends.items())

    def teardown(self) -> None:
        """Whatever happened, one good worker can end every trial."""
        self.now += 2 * LEASE
        for _ in range(len(self.store) + 1):
            actions = self.send(LeaseWanted("good", self.now))
            if isinstance(actions[-1], NothingWaits):
                break
            grant = actions[-1]
            assert isinstance(grant, Grant)
            self.send(Finished(grant.trial, grant.fence))
        assert all(row.done for row in self.store.values())
        assert self.ends == self.wanted


LeaseMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestLeases = LeaseMachine.TestCase


def granted(state: Leases, worker: str = "a", at: float = 0.0) -> tuple[Leases, Grant]:
    state, actions = state.step(LeaseWanted(worker, at))
    assert isinstance(actions[-1], Grant)
    return state, actions[-1]


def test_a_trial_whose_training_always_dies_is_given_up() -> None:
    state, _ = Leases(LEASE).step(Added(0))
    for _ in range(MAX_CRASHES):
        state, grant = granted(state)
        state, actions = state.step(HandedBack(0, grant.fence, "crashed"))
    assert actions == (GiveUp(0, "crashed", "failed", "3 times in a row without a finished epoch"),)
    assert state.unfinished() == []


def test_a_finished_epoch_forgives_earlier_crashes() -> None:
    state, _ = Leases(LEASE).step(Added(0))
    for epoch in range(1, 2 * MAX_CRASHES):
        state, grant = granted(state)
        state, _ = state.step(Reported(0, grant.fence, epoch, 0.0))
        state, actions = state.step(HandedBack(0, grant.fence, "crashed"))
        assert actions == (Requeue(0, "crashed"),)


def test_a_worker_that_asks_again_has_lost_what_it_held() -> None:
    state, _ = Leases(LEASE).step(Added(0))
    state, first = granted(state)
    state, second = granted(state)
    assert (second.trial, second.fence) == (0, first.fence + 1)
    _, actions = state.step(Renewed(0, first.fence, 1.0))
    assert actions == (Refuse("trial 0 is no longer leased under number 1"),)


def test_a_lease_ends_when_it_is_not_renewed() -> None:
    state, _ = Leases(LEASE).step(Added(0))
    state, grant = granted(state)
    state, _ = state.step(Renewed(0, grant.fence, 10.0))
    assert state.step(Passed(39.9))[1] == ()
    assert state.step(Passed(40.0))[1] == (Requeue(0, "lost_worker"),)


def test_workers_lost_again_and_again_end_a_trial() -> None:
    state, _ = Leases(LEASE).step(Added(0))
    for time in range(MAX_LOST):
        state, _ = granted(state, at=100.0 * time)
        state, actions = state.step(Passed(100.0 * time + LEASE))
    assert actions == (GiveUp(0, "lost_worker", "failed", "20 times in a row without a finished epoch"),)


def test_too_little_memory_begins_a_trial_anew() -> None:
    state, _ = Leases(LEASE).step(Added(0))
    state, grant = granted(state)
    state, _ = state.step(Reported(0, grant.fence, 3, 0.0))
    state, actions = state.step(HandedBack(0, grant.fence, "out_of_memory", 2, 1))
    assert actions == (Restart(0, "out_of_memory", 1, 2),)
    state, again = granted(state)
    assert again.fence == grant.fence + 1
    state, actions = state.step(Reported(0, again.fence, 1, 0.0))
    assert actions == (Record(0, 1),)
    state, actions = state.step(HandedBack(0, again.fence, "out_of_memory", 1, 2))
    assert actions == (GiveUp(0, "out_of_memory", "infeasible", "with half the batch as well"),)


def test_ten_thousand_ended_trials_are_no_burden() -> None:
    state = restore(LEASE, [Kept(n, 1, ended=True) for n in range(10_000)])
    assert (len(state.trials), state.ended.bit_count()) == (0, 10_000)
    assert state.step(Renewed(9_999, 1, 0.0))[1] == (Refuse("trial 9999 has ended"),)
    assert state.step(Renewed(10_000, 1, 0.0))[1] == (Refuse("there is no trial 10000"),)
    assert state.step(Renewed(-1, 1, 0.0))[1] == (Refuse("there is no trial -1"),)


def test_states_are_values() -> None:
    state = Leases(LEASE)
    state.step(Added(0))
    assert state == dataclasses.replace(state) and not state.trials
