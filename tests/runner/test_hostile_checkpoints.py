"""Checkpoints that carry code, wherever one is read: not a line of it runs, in a real training either."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError
from test_checkpoint import build
from torch import nn
from trainings import Trainings, trainings
from trials import combination, lease

from runner import plugins  # noqa: F401  MMEngine's own loaders are replaced
from runner.paths import TrialPaths
from runner.plugins import checkpoint
from runner.training.tensors import read
from runner.training.weights import WeightsError


class Command:
    """Unpickling it runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def beside(marker: Path) -> bytes:
    """All that a checkpoint has, and a command in its meta."""
    history = [{"epoch": 1, "metrics": {"segm_mAP": 0.5}, "seconds": 1.0}]
    meta = {"epoch": 1, "iter": 1, "training": "mine", "history": history, "more": Command(marker)}
    file = io.BytesIO()
    torch.save({"meta": meta, "state_dict": nn.Linear(2, 2).state_dict(), "optimizer": {}}, file)
    return file.getvalue()


def legacy(marker: Path) -> bytes:
    """The same in the format of torch before 1.6."""
    file = io.BytesIO()
    torch.save(
        {"state_dict": {"a": torch.ones(1)}, "meta": Command(marker)}, file, _use_new_zipfile_serialization=False
    )
    return file.getvalue()


def bare(marker: Path) -> bytes:
    """No checkpoint at all, but a pickle."""
    return pickle.dumps(Command(marker))


def old_protocol(marker: Path) -> bytes:
    return pickle.dumps({"state_dict": Command(marker)}, protocol=0)


def swapped(marker: Path) -> bytes:
    """torch's zip with another pickle in it."""
    file, made = io.BytesIO(beside(marker)), io.BytesIO()
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            target.writestr(name, bare(marker) if name.endswith("data.pkl") else source.read(name))
    return made.getvalue()


def script(marker: Path) -> bytes:
    """A TorchScript archive, which torch.load would run."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), file)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file.getvalue())) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            target.writestr(name, bare(marker) if name.endswith("data.pkl") else source.read(name))
    return made.getvalue()


REFUSALS = (
    SafetensorError, WeightsError, pickle.UnpicklingError, RuntimeError, OSError, KeyError, TypeError, ValueError,
    EOFError,
)  # fmt: skip
KINDS = [beside, legacy, bare, old_protocol, swapped, script]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["last.pth", "best.pth", "weights.pth", "weights.pkl", "weights.safetensors", "weights"]
)
def test_no_reader_of_ours_runs_it(tmp_path: Path, kind: Callable[[Path], bytes], name: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / name
    path.write_bytes(kind(marker))
    for reader in (
        lambda: read(path),
        lambda: CheckpointLoader.load_checkpoint(str(path)),
        lambda: checkpoint.read_history(path, "mine"),
    ):
        with contextlib.suppress(*REFUSALS):
            reader()
        assert not marker.exists(), f"{kind.__name__} as {name}"


def test_it_would_run(tmp_path: Path) -> None:
    """Else the tests above would prove nothing."""
    pickle.loads(bare(tmp_path / "bare"))
    pickle.loads(old_protocol(tmp_path / "old"))
    for kind in (beside, legacy, swapped):
        torch.load(io.BytesIO(kind(tmp_path / kind.__name__)), weights_only=False)
    assert {path.name for path in tmp_path.iterdir()} == {"bare", "old", "beside", "legacy", "swapped"}


@pytest.mark.parametrize("kind", KINDS)
def test_mmengine_does_not_resume_from_it(tmp_path: Path, kind: Callable[[Path], bytes]) -> None:
    marker, path = tmp_path / "ran", tmp_path / "last.pth"
    path.write_bytes(kind(marker))
    runner = build(tmp_path / "work", load_from=str(path), resume=True)
    with contextlib.suppress(*REFUSALS):
        runner.load_or_resume()
    assert not marker.exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    with trainings(tmp_path_factory.mktemp("trainings")) as running:
        yield running


@pytest.mark.parametrize("kind", [beside, legacy, swapped])
@pytest.mark.parametrize("where", ["last.pth", "weights"])
def test_a_training_does_not_run_it(
    trained: Trainings, tmp_path: Path, where: str, kind: Callable[[Path], bytes]
) -> None:
    """The whole way: a trainer that resumes from it, or starts from it as its pretrained weights."""
    marker, weights = tmp_path / "ran", tmp_path / "weights.pth"
    trial = combination(pretrained=str(weights) if where == "weights" else "none", epochs=1, image_size=[64, 64])
    held = lease(tmp_path, trial)
    path = weights if where == "weights" else TrialPaths.of(held.work_dir, held.study, held.trial).last
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(kind(marker))
    note = trained.end(held)
    assert not marker.exists()
    assert note.result and note.result.outcome == "failed" and note.result.reason
