"""A second `sweep start` of a study that runs: it watches, for as long as the process that runs it has the database."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from made_up import ASK, Bench, train

from sweeps.access import runfile
from sweeps.leases.coordinator import Coordinator
from sweeps.run.owning import follow
from sweeps.server.app import Address, Server, create_app
from sweeps.server.registry import Registry


def test_it_watches_on_where_the_process_gives_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench, registry, said = Bench(tmp_path), Registry(), list[str]()

    def until_told(line: str) -> None:
        until(lambda: said.extend(capsys.readouterr().err.splitlines()) or line in said)

    lock = runfile.own(bench.storage)
    assert lock
    with lock, bench.study() as study:
        registry.add(coordinator := Coordinator(study))
        lease = coordinator.lease(ASK).lease
        assert lease
        with Server(create_app(registry, "token")) as server:
            run = runfile.RunFile(server.url, "token", os.getpid(), "made_up")
            runfile.write(bench.storage, run)
            watching = threading.Thread(target=follow, args=(bench.storage, run))
            watching.start()
            until_told("1 running")
        time.sleep(3)  # it is asked every second
        assert watching.is_alive()
        with Server(create_app(registry, "token"), Address(port=urlsplit(run.url).port or 0)):
            train(coordinator, lease)
            until_told("1 complete")
            assert watching.is_alive()
    lock.release()
    watching.join(30)
    assert not watching.is_alive(), "the database is nobody's"


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
