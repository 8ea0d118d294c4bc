"""Signals that end a worker, sent to a real process at every moment of its work."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from runner.worker.interrupts import LEAVE, STOP

PROCESS = """\
import sys, time
from runner.worker.interrupts import Interrupts, Stopped

interrupts = Interrupts()
interrupts.install()
try:
    interrupts.hold()
    print("held", flush=True)
    sys.stdin.readline()
    print("still held", flush=True)
    interrupts.release()
    print("leaving" if interrupts.leaving else "let in", flush=True)
    sys.stdin.readline()
except Stopped as stop:
    print("stopped:", stop.cause, flush=True)
    sys.stdin.readline()  # handing back
    print("handed back", flush=True)
"""


@pytest.fixture
def process() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize(
    ("number", "cause"), [(signal.SIGTERM, "preempted"), (signal.SIGINT, "stopped"), (STOP, "stopped")]
)
@pytest.mark.parametrize("held", [True, False])
def test_a_signal_waits_while_it_is_held_and_a_second_one_changes_nothing(
    process: subprocess.Popen[str], number: signal.Signals, cause: str, held: bool
) -> None:
    assert says(process) == "held"
    if held:
        process.send_signal(number)
    go_on(process)
    assert says(process) == "still held"
    if not held:
        assert says(process) == "let in"
        process.send_signal(number)
    assert says(process) == f"stopped: {cause}"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    go_on(process)
    assert says(process) == "handed back"
    assert process.wait(20) == 0


def test_a_worker_may_be_asked_to_leave_after_its_trial(process: subprocess.Popen[str]) -> None:
    assert says(process) == "held"
    process.send_signal(LEAVE)
    go_on(process)
    assert (says(process), says(process)) == ("still held", "leaving")
    go_on(process)
    assert process.wait(20) == 0
