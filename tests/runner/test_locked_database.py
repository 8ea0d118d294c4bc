"""A training whose report the server cannot store for longer than its lease lasts."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest
from artifact_site import TOKEN, artifact_site
from leaver import LEAVER
from locking import Editor

from runner.machine import Machine
from runner.wire.client import Client
from runner.worker.attempt import Attempt
from runner.worker.interrupts import Interrupts
from runner.worker.memory import Memory
from runner.worker.staging import Staging
from sweeps.leases import steps


@pytest.mark.parametrize("shared", [True, False], ids=["the server's disk", "a disk of its own"])
def test_it_goes_on_when_the_database_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    monkeypatch.setenv(LEAVER, "complete")
    monkeypatch.setattr(steps, "_WAIT_SECONDS", 0.2)
    editor = Editor(tmp_path / "sweeps.db")
    with artifact_site(tmp_path) as site, Client(site.url, TOKEN) as client:
        lease = site.lease(lease_seconds=3.0, heartbeat_seconds=0.5)
        lease = lease.model_copy(update={"work_dir": str(tmp_path / "worker")})
        context, staging = multiprocessing.get_context("spawn"), Staging(client, shared)
        attempt = Attempt(client, context, Machine(1, 0), lease, Interrupts(), Memory(None, True), staging, "leaver")
        saved = Path(lease.work_dir) / lease.study / "0" / "last.pth"

        def end_it() -> None:
            while not saved.exists() and not over.wait(0.05):  # it reports now
                pass
            over.wait(12)  # longer than it waits for an answer
            editor.over()

        over = threading.Event()
        editor.begin()
        ending = threading.Thread(target=end_it)
        ending.start()
        try:
            ended = attempt.run()
        finally:
            over.set()
            ending.join()
        row = site.study.row(0)
    assert (ended.epochs, row.state, row.fence) == (1, "complete", 1)
