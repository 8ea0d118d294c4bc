"""Budgets of GPU-hours and of hours by the clock: what runs counts, and a second start goes on counting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from made_up import ASK, Bench, record, result, run, train

from sweeps.leases.coordinator import Coordinator
from sweeps.study.tally import Tally

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ended(number: int, minutes: float, after: float = 0.0):  # type: ignore[no-untyped-def]
    """A trial that took so many minutes and ended so many after noon."""
    end = NOON + timedelta(minutes=after)
    return record(number, {}, state="complete", score=0.1, seconds=60 * minutes, finished_at=end, combination="c")


def test_what_runs_is_counted_as_long_as_a_trial_takes_on_average() -> None:
    tally = Tally([ended(0, 60), ended(1, 20)])
    assert tally.seconds == 80 * 60
    tally.begin(2)
    assert tally.seconds == 120 * 60
    for _ in range(2):  # told twice
        tally.report(2, 1, 50 * 60)
    assert tally.seconds == 130 * 60, "it takes longer than those before"
    tally.ended(ended(2, 10))
    assert tally.seconds == 90 * 60


def test_the_clock_counts_while_anything_is_trained() -> None:
    """10:00 to 11:00 and 10:30 to 11:30 side by side, 12:45 to 13:00 later; nobody trained in between."""
    tally = Tally([ended(0, 60, -60), ended(1, 60, -30), ended(2, 15, 60), record(3, {}, combination="c")])
    assert timedelta(minutes=105) <= tally.elapsed < timedelta(minutes=106)


def test_no_trial_begins_that_the_budget_would_not_hold(tmp_path: Path) -> None:
    """Two minutes; each trial takes one: two run side by side at most after the first, not as many as ask."""
    bench = Bench(tmp_path)
    with bench.study("budget={gpu_hours: 0.033}", "sampler.kind=exhaustive") as study:
        coordinator = Coordinator(study)
        assert run(coordinator, trials=1) == [0]
        second = coordinator.lease(ASK).lease
        assert second and coordinator.lease(ASK.model_copy(update={"worker": "w2"})).lease is None
        assert study.end() == "budget.gpu_hours 0.033 is spent"
        coordinator.finish(second.trial, second.fence, result(outcome="failed", failure="nan_loss", seconds=5.0))
        third = coordinator.lease(ASK).lease
        assert third and third.trial == 2, "the second took less than was thought"
        train(coordinator, third)
        assert run(coordinator) == []


def test_hours_go_on_counting_at_the_next_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.study("budget={hours: 0.01}") as study:  # 36 s, of which a trial says that it took 60
        assert run(Coordinator(study), trials=1) == [0]
    with bench.study("budget={hours: 0.01}") as study:
        assert study.end() == "budget.hours 0.01 have passed"
    with bench.study("budget={hours: 0.05}") as study:
        assert run(Coordinator(study), trials=1) == [1]
