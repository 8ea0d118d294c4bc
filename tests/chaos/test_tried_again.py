"""What counts as the time of a trial that is tried again: a real worker with the stand-in trainer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ledger
import pytest
import standin
from desk import NUCLEI
from made_up import ASK, Bench

from runner.paths import TrialPaths
from runner.protocol import EpochReport, Result
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.registry import Registry
from sweeps.study.setup import locate_data

HERE = Path(__file__).parent
SPACE = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 3}
search: {seed: [0]}
budget: {trials: 1, trial_hours: 0.1}
"""


def work(url: str, folder: Path) -> None:
    """A worker from its start until nothing is left."""
    command = [sys.executable, str(HERE / "standin_worker.py"), "--server", url, "--name", "w1", "--owner", "Ann"]
    environment = {
        **os.environ, "SWEEP_TOKEN": "token", ledger.LEDGER: str(folder / "ledger.jsonl"), standin.EPOCH: "0.01",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)]),
    }  # fmt: skip
    subprocess.run([*command, "--threads", "1"], env=environment, check=True, timeout=300)


@pytest.mark.parametrize("kept", [True, False])
def test_epochs_that_are_trained_anew_are_counted_once(tmp_path: Path, kept: bool) -> None:
    bench = Bench(tmp_path, SPACE, data=locate_data(str(NUCLEI), "tiny", tmp_path))
    with bench.study() as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK.model_copy(update={"ready": {"made_up": coordinator.needs.proof()}})).lease
        assert lease
        for epoch in (1, 2):
            report = EpochReport(epoch=epoch, metrics={"segm_mAP": 0.1 * epoch}, seconds=200.0)
            coordinator.report(0, lease.fence, report)
        paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)
        if kept:
            paths.folder.mkdir(parents=True)
            paths.last.write_text("{}")
        coordinator.finish(0, lease.fence, Result(outcome="failed", failure="time_out", reason="too long"))
        coordinator.retry(0)
        registry = Registry()
        registry.add(coordinator)
        with Server(create_app(registry, "token")) as server:
            work(server.url, tmp_path)
        row = study.row(0)
        assert (row.state, row.failure) == (("failed", "time_out") if kept else ("complete", None))
        epochs = study.store.epochs("made_up", 0)
        assert [(one.epoch, one.seconds) for one in epochs] == [(1, 200.0), (2, 200.0), (3, 0.01)][: len(epochs)]
        assert len(epochs) == (2 if kept else 3)
