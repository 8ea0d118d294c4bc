"""A training ends with its worker, whatever became of either before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

TRAINS = """\
import os, sys, time
from runner.lifeline import end_without
os.setpgrp()
end_without(int(sys.argv[1]), 0.2, look=0.05)
print("trains", flush=True)
time.sleep(60)
"""


def training(worker: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", TRAINS, str(worker)], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_it_ends_with_a_worker_that_is_killed_or_stays_stopped(number: signal.Signals) -> None:
    worker = subprocess.Popen(["sleep", "60"])
    try:
        with training(worker.pid) as one:
            assert one.stdout and one.stdout.readline() == "trains\n"
            worker.send_signal(number)
            assert one.wait(20) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.wait()


def test_it_does_not_begin_for_a_worker_that_has_ended() -> None:
    worker = subprocess.Popen(["true"])
    worker.wait()
    with training(worker.pid) as one:
        assert one.stdout and one.stdout.readline() == ""
        assert one.wait(20) == -signal.SIGKILL


LOADS = """\
import time
from mmdet.utils import register_all_modules
from trials import combination, nuclei
from runner.protocol import Objective
from runner.render import render
from runner.training.train import TrialRunner
register_all_modules()
config = render(combination(), 0, "tiny", nuclei(), Objective(), 100, loader_workers=2)["train_dataloader"]
batches = iter(TrialRunner.build_dataloader(config, seed=0))
next(batches)
print("workers", *(worker.pid for worker in batches._workers), flush=True)
time.sleep(60)
"""


def test_loader_workers_end_with_a_trainer_that_is_killed() -> None:
    """Found after a cluster's node was killed: one stayed blocked at its pipe for hours."""
    root = Path(__file__).parents[2]
    places = os.pathsep.join(map(str, (root, root / "tests", root / "tests" / "runner")))
    command = [sys.executable, "-c", LOADS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": places}) as one:
        assert one.stdout
        line = next(line for line in one.stdout if line.startswith("workers"))
        workers = [psutil.Process(int(pid)) for pid in line.split()[1:]]
        one.kill()
    assert len(workers) == 2 and not psutil.wait_procs(workers, timeout=4)[1], "torch itself looks every five seconds"
