"""Requests for a trial that arrive late, or out of order."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made_up import ASK, Bench

from runner.protocol import LeaseReply
from sweeps.leases.coordinator import Coordinator, RefusedError
from sweeps.server.registry import Registry


def ask(registry: Registry, asked: int, life: str = "a") -> LeaseReply:
    return registry.lease(ASK.model_copy(update={"life": life, "asked": asked}))


def test_a_request_that_was_given_up_takes_nothing_back(tmp_path: Path) -> None:
    with Bench(tmp_path).study() as study:
        registry = Registry(stays=True)
        registry.add(Coordinator(study))
        lease = ask(registry, 2).lease
        assert lease
        late = ask(registry, 1)
        assert (late.lease, late.wait) == (None, True)
        registry.study("made_up").heartbeat(lease.trial, lease.fence)


def test_of_requests_that_waited_together_the_latest_gets_the_trial(tmp_path: Path) -> None:
    with Bench(tmp_path).study() as study, ThreadPoolExecutor(3) as threads:
        registry, coordinator = Registry(stays=True), Coordinator(study)
        registry.add(coordinator)
        holds, goes_on = threading.Event(), threading.Event()

        def stand_still() -> None:
            with coordinator._lock:  # as while the database is away
                holds.set()
                goes_on.wait(30)

        standing = threads.submit(stand_still)
        assert holds.wait(30)
        first = threads.submit(ask, registry, 1)
        while "w1" not in registry._turns._lines:
            time.sleep(0.01)
        second = threads.submit(ask, registry, 2)
        while registry._turns._lines["w1"].asked < 2:
            time.sleep(0.01)
        goes_on.set()
        standing.result(30)
        first.result(30)
        lease = second.result(30).lease
        assert lease
        coordinator.heartbeat(lease.trial, lease.fence)


def test_a_worker_that_starts_again_counts_anew_and_its_former_life_is_over(tmp_path: Path) -> None:
    with Bench(tmp_path).study() as study:
        registry = Registry(stays=True)
        registry.add(Coordinator(study))
        before = ask(registry, 7).lease
        lease = ask(registry, 1, life="b").lease
        assert before and lease and lease.trial == before.trial
        assert ask(registry, 8).lease is None
        registry.study("made_up").heartbeat(lease.trial, lease.fence)
        with pytest.raises(RefusedError):
            registry.study("made_up").heartbeat(before.trial, before.fence)
