"""A training ends with its worker, whatever became of either before."""

from __future__ import annotations

import signal
import subprocess
import sys

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
