"""Real trainings that fail, and what the trainer says of each."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from trainers import MACHINE, trainer
from trials import NUCLEI, combination, lease, nuclei, part

from runner.machine import Machine
from runner.paths import TrialPaths
from runner.protocol import Combination, Lease, Note, Part, Plugin

TROUBLE = Path(__file__).with_name("trouble.py")
PLUGIN = Plugin(path=str(TROUBLE), sha256=hashlib.sha256(TROUBLE.read_bytes()).hexdigest())
LOADING = Machine(threads=1, loader_workers=1)


def small(kind: str | None = None, after: int = 0, **changes: object) -> Combination:
    """The smallest training there is, with trouble in it."""
    known = {"epochs": 2, "image_size": [64, 64], "batch_size": 4}
    found = combination("mask_rcnn", "resnet18", **{**known, **changes})  # type: ignore[arg-type]
    if kind is None:
        return found
    trouble = Part(name="trouble", params={"kind": kind, "after": after, "once": ""})
    return found.model_copy(update={"augmentation": (trouble,)})


def ended(what: Lease, machine: Machine = MACHINE) -> Note:
    with trainer(what, machine) as running:
        return running.end()


def log(what: Lease) -> Path:
    return TrialPaths.of(what.work_dir, what.study, what.trial).log


@pytest.mark.parametrize("machine", [MACHINE, LOADING], ids=["own process", "loader worker"])
def test_more_memory_than_there_is(tmp_path: Path, machine: Machine) -> None:
    note = ended(lease(tmp_path, small("huge"), plugins=(PLUGIN,)), machine)
    assert note.result and (note.result.outcome, note.result.failure) == ("infeasible", "out_of_memory")
    assert note.result.reason == "out of memory: tried to allocate 4,294,967,296 MiB"


def test_a_limit_that_real_memory_reaches(tmp_path: Path) -> None:
    note = ended(lease(tmp_path, small("limit"), plugins=(PLUGIN,)))
    assert note.result and note.result.failure == "out_of_memory", note
    assert (note.result.reason or "").startswith("out of memory: "), note


def test_a_learning_rate_that_ruins_the_weights(tmp_path: Path) -> None:
    rate = part("optimizer", "SGD", lr=1e20)
    note = ended(lease(tmp_path, small(optimizer=rate, batch_size=1, schedule="constant")))
    assert note.result and (note.result.outcome, note.result.failure) == ("failed", "nan_loss"), note


def test_weights_that_make_the_model_fail_before_the_loss_is_looked_at(tmp_path: Path) -> None:
    ruin = Part(name="Ruin", params={"lr": 0.1})
    what = small(optimizer=ruin, batch_size=1, schedule="constant", epochs=1)
    model = combination("mask2former", "resnet18").model
    note = ended(lease(tmp_path, what.model_copy(update={"model": model}), plugins=(PLUGIN,)))
    assert note.result and note.result.failure == "nan_loss", note
    assert note.result.reason == "the weights became NaN or infinite in epoch 1"


@pytest.mark.parametrize("machine", [MACHINE, LOADING], ids=["own process", "loader worker"])
def test_a_picture_that_cannot_be_read(tmp_path: Path, machine: Machine) -> None:
    images = tmp_path / "train"
    shutil.copytree(NUCLEI / "train", images)
    broken = sorted(images.iterdir())[3]
    broken.write_bytes(broken.read_bytes()[:100])
    what = lease(tmp_path, small(), nuclei(train_images=str(images)))
    note = ended(what, machine)
    assert note.result and (note.result.outcome, note.result.failure) == ("failed", "data_error"), note
    assert note.result.reason == f"failed to load image: {broken}; see {log(what)}"
    assert "Traceback" in log(what).read_text()


@pytest.mark.parametrize("machine", [MACHINE, LOADING], ids=["own process", "loader worker"])
def test_a_picture_that_is_gone(tmp_path: Path, machine: Machine) -> None:
    images = tmp_path / "val"
    shutil.copytree(NUCLEI / "val", images)
    gone = sorted(images.iterdir())[0]
    gone.unlink()
    note = ended(lease(tmp_path, small(), nuclei(val_images=str(images))), machine)
    assert note.result and note.result.failure == "data_error", note
    assert str(gone) in (note.result.reason or "")


@pytest.mark.parametrize("text", [None, "", '{"images": [', '{"images": [{"id": 1}], "categories": []}'])
def test_labels_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    labels = tmp_path / "train.json"
    if text is not None:
        labels.write_text(text)
    note = ended(lease(tmp_path, small(), nuclei(train_annotations=str(labels))))
    assert note.result and note.result.failure == "data_error", note
    assert str(labels) in (note.result.reason or "")


@pytest.mark.parametrize("machine", [MACHINE, LOADING], ids=["own process", "loader worker"])
@pytest.mark.parametrize(
    ("kind", "line"),
    [("bug", "AttributeError: 'numpy.ndarray' object has no attribute 'rotate'"), ("key", "KeyError: 'colour'")],
)
def test_code_that_is_wrong(tmp_path: Path, machine: Machine, kind: str, line: str) -> None:
    what = lease(tmp_path, small(kind), plugins=(PLUGIN,))
    note = ended(what, machine)
    assert note.result and (note.result.outcome, note.result.failure) == ("failed", "code_error"), note
    assert note.result.reason == f"{line}; see {log(what)}"
    assert "Traceback" in log(what).read_text()


def test_a_path_that_the_config_does_not_have(tmp_path: Path) -> None:
    note = ended(lease(tmp_path, small(config={"model.nek": 1})))
    assert note.result and note.result.failure == "code_error"
    assert re.match(r"model\.nek is not in the rendered config", note.result.reason or "")


def test_a_loader_worker_that_is_killed_is_no_fault_of_the_code(tmp_path: Path) -> None:
    note = ended(lease(tmp_path, small("kill"), plugins=(PLUGIN,)), LOADING)
    assert note.result and (note.result.outcome, note.result.failure) == ("failed", "crashed"), note
    assert "DataLoader worker" in (note.result.reason or "")


def test_signals_that_end_a_whole_job_leave_the_trainer_to_its_worker(tmp_path: Path) -> None:
    """A scheduler sends SIGTERM to every process: were the trainer the first to die, the trial would have crashed."""
    with trainer(lease(tmp_path, small())) as running:
        assert running.note().kind == "report"
        for number in (signal.SIGTERM, signal.SIGINT):
            assert running.process.pid
            os.kill(running.process.pid, number)
        running.go_on()
        note = running.end()
        assert note.result and note.result.outcome == "complete"
