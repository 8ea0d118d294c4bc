"""Budgets of GPU-hours and of hours by the clock: what runs counts, and a second start goes on counting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from made_up import ASK, Bench, record, result, run, train

from results.records import Span, TrialRecord
from sweeps.leases.coordinator import Coordinator
from sweeps.study.tally import Tally

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ended(number: int, minutes: float, after: float = 0.0) -> TrialRecord:
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
    """11:00 to 12:00 and 11:30 to 12:30 side by side, 12:45 to 13:00 later; nobody trained in between."""
    minutes = [(-60, 0), (-30, 30), (45, 60)]
    spans = [
        Span(trial, NOON + timedelta(minutes=begun), NOON + timedelta(minutes=ended))
        for trial, (begun, ended) in enumerate(minutes)
    ]
    tally = Tally([], spans=spans)
    assert tally.elapsed == timedelta(minutes=105)
    tally.train(3)
    assert timedelta(minutes=105) < tally.elapsed < timedelta(minutes=106)
    tally.rest(3)
    rested = tally.elapsed
    assert rested == tally.elapsed


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
    """A study that hours have ended has ended after a restart of its server, too; nothing counts while none trains."""
    bench = Bench(tmp_path)
    with bench.study("budget={hours: 1}") as study:
        assert run(Coordinator(study), trials=1) == [0]
        assert study.end() is None
        taken = study._tally.elapsed
        assert timedelta() < taken < timedelta(minutes=1)
    for survive in (False, True):
        with bench.study("budget={hours: 1}", workers_survive=survive) as study:
            assert abs(study._tally.elapsed - taken) < timedelta(milliseconds=50)
    with bench.study("budget={hours: 1e-7}") as study:
        assert str(study.end()).startswith("budget.hours 1e-07 have passed")
        assert run(Coordinator(study)) == []
    with bench.study("budget={hours: 1}") as study:
        assert run(Coordinator(study), trials=1) == [1]
