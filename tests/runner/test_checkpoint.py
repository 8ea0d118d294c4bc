"""Checkpoints: whole or not there, harmless to read, and readable by mmengine itself."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from desk import small_disk
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset
from trials import fill

from runner.plugins import checkpoint

HISTORY = [{"epoch": 1, "metrics": {"segm_mAP": 0.1, "segm_mAP_l": None}, "seconds": 2.5}]


class Numbers(Dataset[dict[str, torch.Tensor]]):
    """Eight numbers."""

    metainfo = {"classes": ("ring", "speck")}  # noqa: RUF012

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.tensor([float(index)])}


class Line(BaseModel):  # type: ignore[misc]
    """Fits a line; `width` makes its checkpoint large."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(1, width)

    def forward(self, x: list[torch.Tensor], mode: str = "loss") -> dict[str, torch.Tensor]:
        return {"loss": self.linear(torch.stack(x)).square().mean()}


def build(folder: Path, width: int = 4, **options: Any) -> Runner:
    loader = {"dataset": Numbers(), "batch_size": 4, "num_workers": 0,
              "sampler": {"type": "DefaultSampler", "shuffle": True}}  # fmt: skip
    return Runner(
        Line(width), str(folder), train_dataloader=loader, experiment_name=str(folder),
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
        param_scheduler=[{"type": "MultiStepLR", "milestones": [1], "by_epoch": True}],
        default_hooks={"checkpoint": None}, log_level="WARNING", **options,
    )  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path) -> Runner:
    runner = build(tmp_path / "trained")
    runner.train()
    return runner


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 1) as folder:
        yield folder


def test_what_is_saved_is_there_and_nothing_else(trained: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    folder.mkdir()
    checkpoint.save(trained, folder / "last.pth", "mine", HISTORY)
    assert [p.name for p in folder.iterdir()] == ["last.pth"]
    assert checkpoint.read_history(folder / "last.pth", "mine") == HISTORY
    assert checkpoint.read_history(folder / "none.pth", "mine") == []
    assert checkpoint.read_history(folder / "last.pth", "another training") == []
    assert [p.name for p in folder.iterdir()] == ["last.other.pth"]


def test_what_was_put_aside_goes_once_the_new_training_can_be_resumed(trained: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    folder.mkdir()
    checkpoint.save(trained, folder / "last.pth", "full batch", HISTORY)
    assert checkpoint.read_history(folder / "last.pth", "half batch") == []
    checkpoint.save(trained, folder / "best.pth", "half batch", HISTORY)
    assert sorted(p.name for p in folder.iterdir()) == ["best.pth", "last.other.pth"]
    checkpoint.save(trained, folder / "last.pth", "half batch", HISTORY)
    assert sorted(p.name for p in folder.iterdir()) == ["best.pth", "last.pth"]


def test_a_full_disk_leaves_the_old_checkpoint_whole(trained: Runner, full_disk: Path) -> None:
    target = full_disk / "last.pth"
    checkpoint.save(trained, target, "mine", HISTORY)
    before = target.read_bytes()
    fill(full_disk)
    with pytest.raises(OSError) as caught:
        checkpoint.save(trained, target, "mine", [*HISTORY, *HISTORY])
    assert caught.value.errno == errno.ENOSPC
    assert target.read_bytes() == before
    assert sorted(p.name for p in full_disk.iterdir()) == ["filler", "last.pth"]


def test_a_disk_that_fills_in_the_middle_of_a_large_checkpoint(tmp_path: Path, full_disk: Path) -> None:
    small, large = build(tmp_path / "small"), build(tmp_path / "large", width=400_000)
    for runner in (small, large):
        runner.train()
    target = full_disk / "last.pth"
    checkpoint.save(small, target, "mine", HISTORY)
    before = target.read_bytes()
    with pytest.raises(OSError) as caught:
        checkpoint.save(large, target, "mine", [])
    assert caught.value.errno == errno.ENOSPC
    assert [p.name for p in full_disk.iterdir()] == ["last.pth"]
    assert target.read_bytes() == before


def test_a_file_that_may_not_grow_leaves_the_old_checkpoint_whole(tmp_path: Path) -> None:
    """The same as a full disk, where no disk may be mounted."""
    runner = build(tmp_path / "large", width=100_000)
    runner.train()
    target = tmp_path / "last.pth"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(OSError) as caught:
            checkpoint.save(runner, target, "mine", HISTORY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["large", "last.pth"]


class Hostile:
    """Unpickling it runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_that_carries_code_is_refused(tmp_path: Path, legacy: bool) -> None:
    target, marker = tmp_path / "last.pth", tmp_path / "ran"
    hostile = {"meta": {"history": HISTORY, "more": Hostile(marker)}, "state_dict": {}}
    torch.save(hostile, target, _use_new_zipfile_serialization=not legacy)
    assert zipfile.is_zipfile(target) is not legacy
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.read_history(target, "mine")
    assert not marker.exists()


def test_mmengine_resumes_from_ours(trained: Runner, tmp_path: Path) -> None:
    target = tmp_path / "last.pth"
    checkpoint.save(trained, target, "mine", HISTORY)
    other = build(tmp_path / "other")
    other._train_loop = other.build_train_loop(other._train_loop)
    other.optim_wrapper = other.build_optim_wrapper(other.optim_wrapper)
    other.param_schedulers = other.build_param_scheduler(other.param_schedulers)
    other.resume(str(target))
    assert (other.epoch, other.iter) == (2, 4)
    assert other.seed == trained.seed
    for name, value in trained.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[name], value)
    ours, theirs = trained.optim_wrapper.state_dict(), other.optim_wrapper.state_dict()
    for index, state in ours["state"].items():
        assert torch.equal(theirs["state"][index]["momentum_buffer"], state["momentum_buffer"])
    assert theirs["param_groups"][0]["lr"] == ours["param_groups"][0]["lr"]
    assert [s.state_dict() for s in other.param_schedulers] == [s.state_dict() for s in trained.param_schedulers]


def test_mmengines_load_from_and_resume_option_reads_ours(trained: Runner, tmp_path: Path) -> None:
    target = tmp_path / "last.pth"
    checkpoint.save(trained, target, "mine", HISTORY)
    other = build(tmp_path / "other", load_from=str(target), resume=True)
    other.train()  # nothing is left to train
    assert other.epoch == 2
    assert torch.equal(other.model.linear.weight, trained.model.linear.weight)
