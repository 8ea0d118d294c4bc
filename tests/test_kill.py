"""SIGKILL of each process in the middle of a trial: nothing lost, nothing twice, the same digits."""

from __future__ import annotations

import os
import signal
import sqlite3
import time

import psutil
import pytest
from desk import Desk, alive, family

AFTER_TWO = "trial 0 epoch 2/4 segm_mAP"


def figures(desk: Desk) -> list[float]:
    """Mask mAP of every epoch, all digits, straight from the database."""
    with sqlite3.connect(desk.folder / "sweeps.db") as database:
        rows = database.execute("select score from sweep_epochs order by epoch").fetchall()
        optuna = database.execute("select state from trials").fetchall()
    assert optuna == [("COMPLETE",)]
    return [score for (score,) in rows]


def process_of(desk: Desk, what: str) -> psutil.Process:
    top = desk.started[-1].pid
    if what == "start":
        return psutil.Process(top)
    worker = next(p for p in family(top) if "runner.worker.agent" in p.cmdline())
    if what == "worker":
        return worker
    # the trainer leads a process group below the fork server
    return next(p for p in worker.children(recursive=True) if p.pid == os.getpgid(p.pid) != worker.pid)


@pytest.mark.parametrize("what", ["trainer", "worker", "start"])
def test_a_sweep_survives_sigkill(small: Desk, undisturbed: Desk, what: str) -> None:
    sweep = small.spawn("start", "space.yaml")
    small.wait_for(lambda: AFTER_TWO in small.err())
    before = family(sweep.pid)
    process_of(small, what).send_signal(signal.SIGKILL)
    if what == "start":
        sweep.wait()
        deadline = time.monotonic() + 30
        while alive(before):
            assert time.monotonic() < deadline, f"left over: {alive(before)}"
            time.sleep(0.1)
        assert small.json("status")["state"] == "stopped"
        sweep = small.spawn("start", "space.yaml")
    assert sweep.wait(timeout=200) == 0, small.err()
    small.wait_for(lambda: not alive(before), seconds=30)

    assert "trial 0 goes on after epoch 2" in small.err() or "trial 0 goes on after epoch 3" in small.err()
    assert figures(small) == figures(undisturbed)
    ranking = small.json("rank", "--all")
    assert [(row["trial"], row["state"]) for row in ranking["rows"]] == [(0, "complete")]
    assert ranking["rows"][0]["score"] == undisturbed.json("rank")["rows"][0]["score"]
