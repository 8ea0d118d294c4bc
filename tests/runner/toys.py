"""The smallest training that MMDetection's Runner runs: a few numbers, the optimization of a rendered config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmdet.utils import register_all_modules
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset
from trials import combination, paths

from runner.plugins import checkpoint
from runner.protocol import Combination, Objective, Scale
from runner.render import render

IMAGES = 12


class Points(Dataset[dict[str, torch.Tensor]]):
    """Twelve points of three numbers."""

    metainfo = {"classes": ("ring", "speck")}  # noqa: RUF012

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.randn(3, generator=torch.Generator().manual_seed(index))}


class Toy(BaseModel):  # type: ignore[misc]
    """A backbone, a norm (or none), dropout (or none) and a head."""

    def __init__(self, norm: bool = True, dropout: float = 0.5) -> None:
        super().__init__()
        self.backbone = torch.nn.Sequential(
            torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8) if norm else torch.nn.Identity(), torch.nn.Tanh()
        )
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(8, 1)

    def forward(self, x: list[torch.Tensor], mode: str = "loss") -> dict[str, torch.Tensor]:
        points = torch.stack(x)
        found = self.head(self.dropout(self.backbone(points)))
        return {"loss": (found - points.sum(1, keepdim=True).sin()).square().mean()}


def rendered(trial: Combination, scale: Scale = "tiny") -> dict[str, Any]:
    return render(trial, 7, scale, paths(n_train=IMAGES), Objective(), 100)


def rates_of(trial: Combination, scale: Scale = "tiny") -> dict[str, Any]:
    """What the optimization of a rendered config comes to."""
    config = rendered(trial, scale)
    return {key: config[key] for key in ("optim_wrapper", "param_scheduler", "custom_hooks")}


class Keep(Hook):  # type: ignore[misc]
    """Saves a checkpoint after each epoch as our report hook does, and notes the learning rate of each iteration."""

    priority = "VERY_LOW"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rates: list[float] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.rates.append(runner.optim_wrapper.get_lr().get("base_lr", runner.optim_wrapper.get_lr()["lr"])[0])

    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch:
            checkpoint.save(runner, self.folder / f"{runner.epoch}.pth", "toy", [])

    def after_train(self, runner: Runner) -> None:
        checkpoint.save(runner, self.folder / f"{runner.epoch}.pth", "toy", [])


def train(
    folder: Path, model: Toy | None = None, start: Path | None = None, trial: Combination | None = None, **changes: Any
) -> tuple[Runner, list[float]]:
    """Trains with the optimization of a combination, from `start` if given; the runner, and each iteration's rate."""
    folder.mkdir(exist_ok=True)
    chosen = trial or combination(**changes)
    register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    keep = Keep(folder)
    runner = Runner(
        model or Toy(), str(folder), experiment_name=str(folder),
        train_dataloader={"dataset": Points(), "batch_size": chosen.settings["batch_size"], "num_workers": 0,
                          "sampler": {"type": "DefaultSampler", "shuffle": True}},
        train_cfg={"by_epoch": True, "max_epochs": chosen.settings["epochs"]},
        default_hooks={"checkpoint": None}, log_level="ERROR", randomness={"seed": 7}, default_scope="mmdet",
        **rates_of(chosen), **({"load_from": str(start), "resume": True} if start else {}),
    )  # fmt: skip
    runner.register_hook(keep)
    runner.train()
    return runner, keep.rates


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def same(one: Any, other: Any) -> bool:
    """Whether two nests of numbers and tensors are equal to the last digit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
