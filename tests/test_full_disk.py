"""The disk fills up while a checkpoint is written: one line, nothing lost, and on a larger disk it goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, small_disk

ONE_CHECKPOINT = 30  # megabytes; a tiny Mask R-CNN with its optimizer takes 17, and the next is written beside it


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds one checkpoint and not two."""
    with small_disk(tmp_path / "disk", ONE_CHECKPOINT) as folder:
        yield folder


def test_a_full_disk_ends_with_one_line_and_a_larger_one_goes_on(small: Desk, undisturbed: Desk, disk: Path) -> None:
    full = small.run("start", "space.yaml", "--work-dir", disk)
    assert full.returncode == 1
    trial = disk / "small" / "0"
    reason = f"{trial}: No space left on device; nothing of the last finished epoch is lost, make room and start again"
    lines = full.stderr.splitlines()
    assert f"trial 0 handed back: {reason}" in lines
    assert f"sweep: {reason}" in lines
    assert lines[-1] == f"study small is not finished; go on with: sweep start space.yaml --work-dir {disk}"
    assert "Traceback" not in full.stderr
    assert [path.name for path in trial.glob("*.pth")] == ["last.pth"] and not list(trial.glob(".*.tmp"))
    assert small.json("status")["trials"]["waiting"] == 1

    subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
    done = small.run("start", "space.yaml", "--work-dir", disk)
    assert done.returncode == 0, done.stderr
    assert "trial 0 goes on after epoch 1" in done.stderr.splitlines()
    assert small.json("rank")["rows"][0]["score"] == undisturbed.json("rank")["rows"][0]["score"]
