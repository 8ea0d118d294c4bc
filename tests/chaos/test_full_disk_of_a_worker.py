"""A worker has no room for what comes from the server: it says so, and another time it goes on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import NUCLEI, small_disk
from scenes import opened, until
from surroundings import resize
from town import Plan, Town, town

from runner.worker.agent import NODE_FAULT

SPACE = f"""\
study: chaos
data: {NUCLEI}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: 6}}
search: {{seed: [0]}}
budget: {{trials: 1}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """One worker with a small disk of its own."""
    with small_disk(tmp_path / "workers", 4) as workers:
        plan = Plan(tmp_path, f"sqlite:///{tmp_path}/sweeps.db", tmp_path / "server", workers=1, apart=workers)
        plan.epoch_seconds = 1.0
        with town(plan) as found:
            opened(found, SPACE)
            yield found


def test_no_room_for_a_checkpoint_from_the_server(place: Town) -> None:
    worker, disk = place.workers[0], place.plan.apart
    assert disk
    until(place, lambda: bool(place.ask("/studies/chaos/trials/0/epochs")))
    worker.signal(signal.SIGKILL)
    assert worker.process
    worker.process.wait()
    for folder in disk.iterdir():
        shutil.rmtree(folder)
    resize(disk, 48 * 1024)  # a checkpoint takes 64
    until(place, lambda: bool(worker.left))
    assert worker.left[0][0] == NODE_FAULT
    said = worker.log.read_text().partition("-- w0.2")[2]
    assert "no space left on device" in said and "Traceback" not in said

    resize(disk, 4 * 2**20)
    until(place, lambda: place.ask("/studies/chaos/status")["trials"]["complete"] == 1)
    ends = [one["end"] for one in place.ask("/studies/chaos/trials/0/attempts")]
    assert ends[0] == "lost_worker" and ends[-1] == "complete" and set(ends[1:-1]) == {"node_fault"}
    assert [one["epoch"] for one in place.ask("/studies/chaos/trials/0/epochs")] == [1, 2, 3, 4, 5, 6]
