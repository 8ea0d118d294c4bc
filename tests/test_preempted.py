"""A machine is taken away in the middle of an epoch: another one, with a disk of its own, ends at the same digits."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess

import pytest
from desk import NUCLEI, Desk, alive, family

TOKEN = "a-token-for-this-test-alone"
MID_EPOCH_2 = re.compile(r"Epoch\(train\) +\[2\]\[6/6\]")  # what is missing: its validation and its checkpoint


def figures(desk: Desk) -> list[tuple[float, str]]:
    """Every epoch's score and figures, all digits."""
    with sqlite3.connect(desk.folder / "sweeps.db") as database:
        return database.execute("select score, metrics from sweep_epochs order by epoch").fetchall()


def worker(team: Desk, name: str) -> subprocess.Popen[str]:
    """A machine of its own: another copy of the images, another folder for what it trains."""
    data, work = team.folder / f"{name}_data", team.folder / f"{name}_work"
    shutil.copytree(NUCLEI.parent, data)
    url = (team.folder / "url").read_text()
    return team.spawn("worker", "--server", url, "--token-file", "token", "--work-dir", work, "--data-root", data)


@pytest.fixture
def team(small: Desk) -> Desk:
    """A server of a team's, with the smallest sweep submitted."""
    (small.folder / "token").write_text(TOKEN)
    small.spawn("serve", "--port", "0", "--token-file", "token", "--work-dir", small.folder / "server_work")
    small.wait_for(lambda: " serves no study yet" in small.err())
    url = next(line for line in small.err().splitlines() if " serves " in line).split()[0]
    (small.folder / "url").write_text(url)
    start = small.spawn("start", "space.yaml", "--server", url, "--token-file", "token", "--work-dir", "start_work")
    small.wait_for(lambda: "study small is at" in small.err())
    start.send_signal(signal.SIGINT)  # ends the watching
    start.wait(30)
    return small


@pytest.mark.slow
def test_a_preempted_trial_goes_on_elsewhere(team: Desk, undisturbed: Desk) -> None:
    first = worker(team, "first")
    log = team.folder / "first_work" / "small" / "0" / "train.log"
    team.wait_for(lambda: log.exists() and bool(MID_EPOCH_2.search(log.read_text(errors="replace"))), seconds=300)
    processes = family(first.pid)
    first.send_signal(signal.SIGTERM)
    first.wait(20)
    team.wait_for(lambda: not alive(processes), seconds=10)
    team.wait_for(lambda: "trial 0 handed back: the machine was taken away (SIGTERM)" in team.err(), seconds=10)
    assert [score for score, _ in figures(team)] == [score for score, _ in figures(undisturbed)[:1]]
    for gone in ("first_work", "first_data"):
        shutil.rmtree(team.folder / gone)

    worker(team, "second")
    team.wait_for(lambda: "trial 0 complete" in team.err(), seconds=400)
    assert "trial 0 goes on after epoch 1" in team.err()
    assert figures(team) == figures(undisturbed)
    with sqlite3.connect(team.folder / "sweeps.db") as database:
        attempts = database.execute("select end, first_epoch, last_epoch from sweep_attempts order by fence").fetchall()
    assert attempts == [("preempted", 1, 1), ("complete", 2, 4)]
    record = team.json("rank")["rows"][0]
    assert record["score"] == undisturbed.json("rank")["rows"][0]["score"]
    trained = (team.folder / "second_work" / "small" / "0" / "train.log").read_text(errors="replace")
    assert MID_EPOCH_2.search(trained)
    assert not re.search(r"Epoch\(train\) +\[1\]", trained), "the first epoch is not trained again"
