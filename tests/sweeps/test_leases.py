"""The lease machine under every interleaving hypothesis finds: nothing lost, nothing counted twice."""

from __future__ import annotations

import dataclasses

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from sweeps import leases
from sweeps.leases import (
    MAX_CRASHES,
    Added,
    Close,
    Finished,
    GiveUp,
    Grant,
    HandedBack,
    Leases,
    LeaseWanted,
    NothingWaits,
    Passed,
    Record,
    Refuse,
    Renewed,
    Reported,
    Requeue,
    restore,
)

LEASE = 30.0
WORKERS = st.sampled_from(["a", "b", "c"])


class LeaseMachine(RuleBasedStateMachine):
    """Plays server, store and workers; the store is what a restart finds."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.state = Leases(LEASE)
        self.now = 0.0
        self.store: dict[int, dict[str, int | bool]] = {}
        self.holder: dict[int, tuple[str, int]] = {}
        self.ends: dict[int, int] = {}

    def send(self, event: leases.Event) -> tuple[leases.Action, ...]:
        before = self.state
        self.state, actions = before.step(event)
        for action in actions:
            match action:
                case Grant(trial, worker, fence):
                    assert trial not in self.holder, "leased to two workers"
                    assert fence > self.store[trial]["fence"], "a fencing number came twice"
                    assert not self.store[trial]["done"], "an ended trial was leased"
                    self.store[trial]["fence"] = fence
                    self.holder[trial] = (worker, fence)
                case Requeue(trial):
                    del self.holder[trial]
                case Record(trial, epoch):
                    assert epoch > self.store[trial]["epoch"], "an epoch was stored twice"
                    self.store[trial]["epoch"] = epoch
                case Close(trial) | GiveUp(trial, _):
                    del self.holder[trial]
                    self.store[trial]["done"] = True
                    self.ends[trial] = self.ends.get(trial, 0) + 1
                case Refuse(_):
                    assert self.state == before, "a refusal changed something"
        return actions

    def valid(self, grant: Grant) -> bool:
        return self.holder.get(grant.trial, ("", 0))[1] == grant.fence

    @rule()
    def add(self) -> None:
        trial = len(self.store)
        self.store[trial] = {"fence": 0, "epoch": 0, "done": False}
        self.send(Added(trial))

    @rule(target=held, worker=WORKERS)
    def lease(self, worker: str) -> object:
        actions = self.send(LeaseWanted(worker, self.now))
        if isinstance(actions[-1], NothingWaits):
            open_trials = [n for n, row in self.store.items() if not row["done"] and n not in self.holder]
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

    @rule(grant=held, crashed=st.booleans())
    def hand_back(self, grant: Grant, crashed: bool) -> None:
        ok = self.valid(grant)
        (action,) = self.send(HandedBack(grant.trial, grant.fence, crashed))
        assert isinstance(action, Refuse) != ok

    @rule(seconds=st.floats(0, 2 * LEASE))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.send(Passed(self.now))

    @rule()
    def restart(self) -> None:
        """The server dies and reads the store; workers may still believe in their leases."""
        rows = [(n, int(r["fence"]), int(r["epoch"]), bool(r["done"])) for n, r in self.store.items()]
        self.state = restore(LEASE, rows)
        self.holder.clear()

    @invariant()
    def nothing_lost_or_counted_twice(self) -> None:
        assert set(self.state.seats) == set(self.store)
        assert set(self.state.unfinished()) == {n for n, row in self.store.items() if not row["done"]}
        assert self.state.running() == {n: worker for n, (worker, _) in self.holder.items()}
        assert all(times == 1 for times in self.ends.values())

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
        assert all(row["done"] for row in self.store.values())


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
        state, actions = state.step(HandedBack(0, grant.fence, crashed=True))
    assert actions == (GiveUp(0, MAX_CRASHES),)
    assert state.unfinished() == []


def test_a_finished_epoch_forgives_earlier_crashes() -> None:
    state, _ = Leases(LEASE).step(Added(0))
    for epoch in range(1, 2 * MAX_CRASHES):
        state, grant = granted(state)
        state, _ = state.step(Reported(0, grant.fence, epoch, 0.0))
        state, actions = state.step(HandedBack(0, grant.fence, crashed=True))
        assert actions == (Requeue(0),)


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
    assert state.step(Passed(40.0))[1] == (Requeue(0),)


def test_states_are_values() -> None:
    state = Leases(LEASE)
    state.step(Added(0))
    assert state == dataclasses.replace(state) and not state.seats
