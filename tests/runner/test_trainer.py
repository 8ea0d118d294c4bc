"""Real trainers: how a training ends when the disk, the data, the learning rate or the worker fails it."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import filelock
import psutil
import pytest
from desk import small_disk
from trials import NUCLEI, combination, fill, lease, nuclei, part

from runner.machine import Machine
from runner.paths import TrialPaths
from runner.plugins.checkpoint import read_history
from runner.protocol import Combination, Lease, Note, Plugin, Verdict
from runner.worker.child import trainer as train_lease

MACHINE = Machine(threads=1, loader_workers=0)


@dataclass
class Trainer:
    """A trainer as the worker starts it; the test is the worker."""

    process: BaseProcess
    link: Connection
    notes: list[Note] = field(default_factory=list)

    def note(self, seconds: float = 120) -> Note:
        assert self.link.poll(seconds), "the trainer says nothing"
        self.notes.append(Note.model_validate_json(self.link.recv_bytes()))
        return self.notes[-1]

    def go_on(self) -> None:
        self.link.send_bytes(Verdict().model_dump_json().encode())

    def end(self) -> Note:
        """Lets it train to its end; the last note."""
        while (note := self.note()).kind == "report":
            self.go_on()
        self.process.join(20)
        assert not self.process.is_alive()
        return note


def begin(what: Lease) -> Trainer:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runner.worker.tied", "runner.training.trainer"])
    ours, theirs = context.Pipe()
    process = context.Process(target=train_lease, args=(what.model_dump_json(), MACHINE, theirs))
    process.start()
    theirs.close()
    return Trainer(process, ours)


def clear(trainer: Trainer) -> None:
    if trainer.process.is_alive():
        trainer.process.kill()
    trainer.process.join()
    trainer.link.close()


@pytest.fixture
def start() -> Iterator[Callable[[Lease], Trainer]]:
    started: list[Trainer] = []

    def keep(what: Lease) -> Trainer:
        started.append(begin(what))
        return started[-1]

    yield keep
    for trainer in started:
        clear(trainer)


@pytest.fixture(scope="module", autouse=True)
def locked_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lease, Trainer]]:
    """A trainer whose folder another one holds. It waits twenty seconds, while the other tests run."""
    held = lease(tmp_path_factory.mktemp("locked"), small())
    paths = places(held)
    paths.folder.mkdir(parents=True)
    with filelock.FileLock(paths.lock):
        trainer = begin(held)
        yield held, trainer
    clear(trainer)


def small(**changes: object) -> Combination:
    """The smallest training there is: two epochs of twelve images of 64 x 64 pixels."""
    known = {"epochs": 2, "image_size": [64, 64], "batch_size": 4}
    return combination("mask_rcnn", "resnet18", **{**known, **changes})  # type: ignore[arg-type]


def places(held: Lease) -> TrialPaths:
    return TrialPaths.of(held.work_dir, held.study, held.trial)


def test_a_plugin_that_is_not_the_studys_is_the_machines_fault(
    tmp_path: Path, start: Callable[[Lease], Trainer]
) -> None:
    file = tmp_path / "my_parts.py"
    file.write_text("1 / 0")  # it must not even run
    note = start(lease(tmp_path, small(), plugins=(Plugin(path=str(file), sha256="0" * 64),))).end()
    assert note.kind == "node_fault"
    assert note.reason and note.reason.startswith(f"plugin {file} changed since the study began: its hash is ")


def test_a_disk_that_fills_during_a_checkpoint(tmp_path: Path, start: Callable[[Lease], Trainer]) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        held = lease(disk, small())
        paths = places(held)
        trainer = start(held)
        report = trainer.note()
        assert (report.kind, report.report and report.report.epoch) == ("report", 1)
        before, filler = paths.last.read_bytes(), fill(disk)
        trainer.go_on()
        note = trainer.end()
        assert (note.kind, note.result) == ("node_fault", None)
        assert note.reason == (
            f"{paths.folder}: {os.strerror(errno.ENOSPC)}; nothing of the last finished epoch is lost, "
            "make room and start again"
        )
        assert paths.last.read_bytes() == before
        assert [entry["epoch"] for entry in read_history(paths.last, held.training())] == [1]
        assert not [p.name for p in paths.folder.iterdir() if p.name.endswith(".tmp")]

        filler.unlink()  # somebody makes room
        again = start(held.model_copy(update={"reported": (report.report,)}))
        last = again.end()
        assert [n.report.epoch for n in again.notes if n.report] == [2]
        assert last.result and last.result.outcome == "complete", last
        assert [entry["epoch"] for entry in read_history(paths.last, held.training())] == [1, 2]


def test_a_disk_that_is_full_from_the_start(tmp_path: Path, start: Callable[[Lease], Trainer]) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        held = lease(disk, small())
        fill(disk)
        note = start(held).end()
    assert note.kind == "node_fault"
    assert note.reason == (
        f"{places(held).folder}: No space left on device; nothing of the last finished epoch is lost, "
        "make room and start again"
    )


def test_a_learning_rate_that_ruins_the_weights(tmp_path: Path, start: Callable[[Lease], Trainer]) -> None:
    optimizer = part("optimizer", "SGD", lr=1e20)
    held = lease(tmp_path, small(optimizer=optimizer, batch_size=1, schedule="constant"))
    note = start(held).end()
    assert note.result and note.result.outcome == "failed", note
    assert re.fullmatch(r"the loss is (nan|inf) in epoch [12], iteration \d+", note.result.reason or ""), note


def test_an_image_that_cannot_be_read(tmp_path: Path, start: Callable[[Lease], Trainer]) -> None:
    images = tmp_path / "train"
    shutil.copytree(NUCLEI / "train", images)
    broken = sorted(images.iterdir())[3]
    broken.write_bytes(broken.read_bytes()[:100])
    held = lease(tmp_path, small(), nuclei(train_images=str(images)))
    note = start(held).end()
    assert note.result and note.result.outcome == "failed", note
    reason = note.result.reason or ""
    assert "\n" not in reason and str(broken) in reason, reason
    assert reason.endswith(f"; see {places(held).log}")
    assert "Traceback" in places(held).log.read_text()


def test_a_path_that_the_config_does_not_have(tmp_path: Path, start: Callable[[Lease], Trainer]) -> None:
    note = start(lease(tmp_path, small(config={"model.nek": 1}))).end()
    assert note.result and note.result.outcome == "failed"
    assert (note.result.reason or "").startswith("model.nek is not in the rendered config, there are backbone,")


PARENT = """
import multiprocessing, sys, time
from runner.machine import Machine
from runner.worker.child import trainer as train_lease

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runner.worker.tied", "runner.training.trainer"])
    ours, theirs = context.Pipe()
    process = context.Process(target=train_lease, args=(sys.argv[1], Machine(1, 2), theirs))
    process.start()
    theirs.close()
    print(process.pid, flush=True)
    ours.poll(120)
    print("one epoch is done", flush=True)
    time.sleep(600)
"""


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def test_a_trainer_ends_with_its_parent(tmp_path: Path) -> None:
    """Even one that is stopped, and so can notice nothing itself."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    held = lease(tmp_path, small(epochs=500))
    parent = subprocess.Popen(
        [sys.executable, str(script), held.model_dump_json()], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    try:
        assert parent.stdout
        trainer = int(parent.stdout.readline())
        assert parent.stdout.readline() == "one epoch is done\n"
        family = [p.pid for p in psutil.Process(parent.pid).children(recursive=True)]
        assert trainer in family
        os.kill(trainer, signal.SIGSTOP)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 30
    while (left := alive(family)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def test_two_trainers_never_write_in_one_folder(locked_out: tuple[Lease, Trainer]) -> None:
    held, trainer = locked_out
    note, folder = trainer.end(), places(held).folder
    assert (note.kind, note.reason) == ("node_fault", f"{folder}: another trainer still writes here")
    assert [p.name for p in folder.iterdir()] == [".lock"]
