"""The disk fills up while a checkpoint is written: one line, nothing lost, and on a larger disk it goes on.

With several workers it is the end of the one whose disk it is.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import NUCLEI, Desk, small_disk

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
    assert f"sweep: the workers gave up: cpu-0: {reason}" in lines
    assert lines[-1] == f"study small is not finished; go on with: sweep start space.yaml --work-dir {disk}"
    assert "Traceback" not in full.stderr
    assert [path.name for path in trial.glob("*.pth")] == ["last.pth"] and not list(trial.glob(".*.tmp"))
    assert small.json("status")["trials"]["waiting"] == 1

    subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
    done = small.run("start", "space.yaml", "--work-dir", disk)
    assert done.returncode == 0, done.stderr
    assert "trial 0 goes on after epoch 1" in done.stderr.splitlines()
    assert small.json("rank")["rows"][0]["score"] == undisturbed.json("rank")["rows"][0]["score"]


SPACE = """\
study: two
data: {data}
plugins: [{plugin}]
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: 1, image_size: 64, augmentation: {trouble}}}
search: {{seed: [0, 1]}}
budget: {{trials: 2}}
"""


def test_one_worker_gives_up_and_the_other_goes_on(desk: Desk) -> None:
    plugin = Path(__file__).parent / "runner" / "trouble.py"
    trouble = f"{{trouble: {{kind: full, once: {desk.folder / 'once'}}}}}"
    desk.write(SPACE.format(data=NUCLEI, plugin=plugin, trouble=trouble))
    done = desk.run("start", "space.yaml", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^a worker gave up: cpu-[01]: .*: No space left on device; ", done.stderr, re.M)) == 1
    assert len(re.findall(r"^trial [01] handed back: .*: No space left on device; ", done.stderr, re.M)) == 1
    assert desk.json("status")["trials"]["complete"] == 2
