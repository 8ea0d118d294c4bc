"""Ctrl-C: once politely, twice at once; a second start goes on or watches."""

from __future__ import annotations

import signal
import time

from desk import Desk, alive, family


def start_until(desk: Desk, line: str) -> None:
    desk.spawn("start", "space.yaml", "--owner", "김하늘")
    desk.wait_for(lambda: line in desk.err())


def test_ctrl_c_once_hands_back_and_says_how_to_go_on(small: Desk, undisturbed: Desk) -> None:
    start_until(small, "trial 0 epoch 1/4")
    sweep = small.started[-1]
    before = family(sweep.pid)
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(timeout=30) == 130
    small.wait_for(lambda: not alive(before), seconds=30)
    assert "go on with: sweep start space.yaml --owner '김하늘'" in small.err()
    assert small.json("status")["trials"]["waiting"] == 1

    done = small.run("start", "space.yaml", "--owner", "김하늘")
    assert done.returncode == 0, done.stderr
    assert small.json("rank")["rows"][0]["score"] == undisturbed.json("rank")["rows"][0]["score"]


def test_ctrl_c_twice_ends_at_once(small: Desk) -> None:
    start_until(small, "trial 0 epoch 1/4")
    sweep = small.started[-1]
    before = family(sweep.pid)
    sweep.send_signal(signal.SIGINT)
    time.sleep(0.05)
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(timeout=15) == 130
    small.wait_for(lambda: not alive(before), seconds=30)


def test_sweep_stop_ends_a_run_and_a_second_start_watches_it(small: Desk) -> None:
    small.write(
        (small.folder / "space.yaml").read_text().replace("epochs: 4", "epochs: 60")
    )  # it must not end by itself
    start_until(small, "trial 0 epoch 1/60")
    watching = small.spawn("start", "space.yaml")
    small.wait_for(lambda: "study small runs already" in small.err())
    assert small.json("status")["state"] == "running"
    other = small.run("start", "space.yaml", "--set", "study=other")
    assert other.returncode == 1
    assert "is in use: process" in other.stderr and "runs study small" in other.stderr

    changed = small.run("start", "space.yaml", "--set", "fixed.epochs=5")
    assert changed.returncode == 1
    assert "study small exists with another space: fixed.epochs: 60 there, 5 here" in changed.stderr

    stopped = small.run("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "study small stopped; go on with: sweep start SPACE\n")
    assert watching.wait(timeout=20) == 1
    assert small.started[0].wait(timeout=20) == 1
    assert small.json("status")["state"] == "stopped"
    again = small.run("stop")
    assert (again.returncode, again.stderr) == (1, "sweep: no sweep runs on sqlite:///sweeps.db\n")


def test_two_workers_train_two_trials_at_a_time(small: Desk) -> None:
    small.spawn(
        "start", "space.yaml", "--workers", "2", "--set", "search.seed=[0, 1]", "--set", "budget.trials=2",
        "--set", "fixed.epochs=2",
    )  # fmt: skip
    small.wait_for(lambda: small.run("status").stdout.count("cpu): trial ") == 2)
    assert small.started[-1].wait(timeout=300) == 0, small.err()
    rows = small.json("rank")["rows"]
    assert sorted((row["trial"], row["seed"]) for row in rows) == [(0, 0), (1, 1)]


def test_ctrl_c_while_torch_loads_leaves_nothing_running(small: Desk) -> None:
    sweep = small.spawn("start", "space.yaml")
    small.wait_for(lambda: any("runner.worker.agent" in one.cmdline() for one in family(sweep.pid)[1:]))
    time.sleep(1)
    before = family(sweep.pid)
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(timeout=30) == 130, small.err()
    small.wait_for(lambda: not alive(before), seconds=30)
    assert small.json("status")["trials"]["running"] == 0


def test_checkpoints_of_another_database_are_not_taken_up(small: Desk, undisturbed: Desk) -> None:
    """The database was deleted, the folders were not: the old trial 0 trained something else."""
    first = small.run("start", "space.yaml", "--set", "search.seed=[1]", "--set", "fixed.epochs=1")
    assert first.returncode == 0, first.stderr
    for path in small.folder.glob("sweeps.db*"):
        if path.is_file():  # what workers sent lies in folders beside it
            path.unlink()
    second = small.run("start", "space.yaml")
    assert second.returncode == 0, second.stderr
    assert "goes on after" not in second.stderr
    assert small.json("rank")["rows"][0]["score"] == undisturbed.json("rank")["rows"][0]["score"]
    assert not (small.folder / "work_dirs/small/0/last.other.pth").exists()  # the new training has its own
