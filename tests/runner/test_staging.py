"""Which checkpoints a worker with a disk of its own keeps when an attempt ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from artifact_site import TOKEN, ArtifactSite, artifact_site
from depot import noise
from leaver import LEAVER

from runner.machine import Machine
from runner.paths import TrialPaths
from runner.protocol import EpochReport, Lease
from runner.wire.artifacts import Transfer
from runner.wire.client import Client
from runner.worker.attempt import Attempt, NodeFaultError
from runner.worker.interrupts import Interrupts
from runner.worker.memory import Memory
from runner.worker.staging import Staging

DATA = noise(300_000)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ArtifactSite]:
    with artifact_site(tmp_path) as found:
        yield found


@pytest.fixture
def client(site: ArtifactSite) -> Iterator[Client]:
    with Client(site.url, TOKEN) as found:
        yield found


def held(site: ArtifactSite) -> Lease:
    """A lease as a worker with a disk of its own has it."""
    return site.lease().model_copy(update={"work_dir": str(site.folder / "worker")})


def saved(lease: Lease, data: bytes = DATA) -> Path:
    """As if the trainer had saved a checkpoint."""
    paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)
    paths.folder.mkdir(parents=True, exist_ok=True)
    paths.last.write_bytes(data)
    return paths.last


def test_what_was_sent_goes_and_can_be_fetched_again(site: ArtifactSite, client: Client) -> None:
    staging, lease = Staging(client, shared=False), held(site)
    last = saved(lease)
    staging.send_epoch(lease, 0.0)
    client.report(lease, EpochReport(epoch=1, metrics={"segm_mAP": 0.5}, seconds=1.0))
    staging.forget(lease, over=False)
    assert not last.exists()
    client.hand_back(lease, "the worker was stopped", "stopped")
    again = held(site)
    assert again.reported
    staging.fetch(again, 0.0)
    assert last.read_bytes() == DATA
    staging.forget(again, over=False)
    assert not last.exists()


@pytest.mark.parametrize("over", [False, True])
def test_what_was_not_sent_goes_with_a_trial_that_is_over(site: ArtifactSite, client: Client, over: bool) -> None:
    lease = held(site)
    last = saved(lease)
    Staging(client, shared=False).forget(lease, over)
    assert last.exists() != over


def test_what_the_server_had_no_room_for_stays(site: ArtifactSite, client: Client) -> None:
    staging, lease = Staging(client, shared=False), held(site)
    last = saved(lease)
    site.limits.budget = 1000
    staging.send_epoch(lease, 0.0)
    client.report(lease, EpochReport(epoch=1, metrics={"segm_mAP": 0.5}, seconds=1.0))
    staging.forget(lease, over=True)
    assert last.exists()
    client.hand_back(lease, "the worker was stopped", "stopped")

    started_again, lease = Staging(client, shared=False), held(site)
    started_again.fetch(lease, 0.0)
    started_again.forget(lease, over=True)
    assert last.exists()
    site.limits.budget = None
    started_again.send_epoch(lease, 0.0)
    started_again.forget(lease, over=False)
    assert not last.exists()


def test_what_another_worker_of_the_machine_trains_stays(site: ArtifactSite, client: Client) -> None:
    staging, lease = Staging(client, shared=False), held(site)
    last = saved(lease)
    code = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]):\n    print(flush=True)\n    sys.stdin.read()\n"
    command = [sys.executable, "-c", code, str(TrialPaths(last.parent).lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        staging.forget(lease, over=True)
        assert last.exists()
        other.communicate()
    staging.forget(lease, over=True)
    assert not last.exists()


def test_the_servers_own_disk_is_left_alone(site: ArtifactSite, client: Client) -> None:
    staging, lease = Staging(client, shared=True), held(site)
    last = saved(lease)
    staging.send_epoch(lease, 0.0)
    staging.forget(lease, over=True)
    assert last.exists()


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ("complete", "complete"), ("nan_loss", "failed"), ("crashed", "waiting"), ("node_fault", "waiting"),
        ("time_out", "failed"), ("cancelled", "failed"),
    ],
)  # fmt: skip
def test_no_end_leaves_a_checkpoint(
    site: ArtifactSite, client: Client, monkeypatch: pytest.MonkeyPatch, end: str, state: str
) -> None:
    """A worker's attempt with a real process that saves, reports an epoch and ends."""
    monkeypatch.setenv(LEAVER, end)
    lease = held(site).model_copy(update={"heartbeat_seconds": 0.2, "limit_seconds": 3600.0})
    last = TrialPaths.of(lease.work_dir, lease.study, lease.trial).last
    context, staging = multiprocessing.get_context("spawn"), Staging(client, shared=False)
    attempt = Attempt(client, context, Machine(1, 0), lease, Interrupts(), Memory(None, True), staging, "leaver")

    def end_it() -> None:
        while not attempt.ended.epochs:
            time.sleep(0.05)
        if end == "cancelled":
            site.coordinator.cancel(0)
        elif end == "time_out":
            attempt.granted -= 3600.0

    threading.Thread(target=end_it, daemon=True).start()
    with pytest.raises(NodeFaultError) if end == "node_fault" else contextlib.nullcontext():
        attempt.run()
    assert site.study.row(0).state == state
    assert list(Transfer(client.http).names("made_up", 0)) == ["last.pth"]
    assert last.parent.is_dir() and not last.exists()
