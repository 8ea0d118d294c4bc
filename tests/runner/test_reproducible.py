"""Random numbers come from (seed, epoch, worker): never twice the same, and the same again after a resume."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.runner import Runner
from torch.utils.data import Dataset
from trials import combination, paths

from runner.plugins.reproducible import ReproducibleHook, epoch_seed
from runner.protocol import Objective
from runner.render import render

ITEMS = 12
Draws = list[tuple[float, float, float]]


class Dice(Dataset[tuple[float, float, float]]):
    """Each item is what an augmentation might draw, from all three generators."""

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> dict[str, float]:
        return {"python": random.random(), "numpy": float(np.random.rand()), "torch": float(torch.rand(()))}


def loader(workers: int, seed: int = 0) -> Any:
    """As MMDetection's Runner builds it from the rendered config."""
    config = render(combination(), seed, "tiny", paths(), Objective(), 100, loader_workers=workers)["train_dataloader"]
    assert config["worker_init_fn"] == {"type": "keep_torch_seeds"}
    assert (config["num_workers"], config["persistent_workers"]) == (workers, False)
    del config["batch_sampler"]  # sorts by aspect ratio, of which a die has none
    return Runner.build_dataloader({**config, "dataset": Dice()}, seed=seed)


def hook(seed: int = 0) -> ReproducibleHook:
    """The one of the rendered config."""
    config = render(combination(), seed, "tiny", paths(), Objective(), 100)["custom_hooks"]
    assert [h["type"] for h in config] == ["ReproducibleHook"]
    built = HOOKS.build(config[0])
    assert isinstance(built, ReproducibleHook)
    return built


def epochs(numbers: list[int], workers: int, seed: int = 0) -> list[Draws]:
    """What a training that goes through these epochs draws in each, validations in between."""
    seeded, data = hook(seed), loader(workers, seed)
    drawn = []
    for epoch in numbers:
        seeded.before_train_epoch(SimpleNamespace(epoch=epoch))
        batches = list(data)
        drawn.append([item for b in batches for item in zip(b["python"], b["numpy"], b["torch"], strict=True)])
        _ = (random.random(), np.random.rand(3), torch.rand(5))  # whatever the training itself draws
    return drawn


def test_seeds_differ_between_epochs_and_between_seeds() -> None:
    seeds = [epoch_seed(seed, epoch) for seed in range(100) for epoch in range(100)]
    assert all(0 <= seed < 2**32 for seed in seeds)
    # 10,000 draws of 32 bits: about one pair in a hundred such tables would meet by chance
    assert len(set(seeds)) == len(seeds)
    assert epoch_seed(3, 4) == epoch_seed(3, 4) != epoch_seed(4, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_two_epochs_never_draw_the_same(workers: int) -> None:
    drawn = epochs([0, 1, 2, 3], workers)
    assert all(len(epoch) == ITEMS for epoch in drawn)
    for generator in range(3):
        values = [item[generator] for epoch in drawn for item in epoch]
        assert len(set(values)) == len(values), ("python", "numpy", "torch")[generator]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_after_a_resume_is_the_epoch_undisturbed(workers: int) -> None:
    undisturbed = epochs([0, 1, 2, 3], workers)
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)  # another process starts from anywhere
    assert epochs([2, 3], workers) == undisturbed[2:]


@pytest.mark.parametrize("workers", [0, 2])
def test_two_seeds_draw_different_numbers(workers: int) -> None:
    one, other = epochs([0], workers, seed=0), epochs([0], workers, seed=1)
    for a, b in itertools.product(one[0], other[0]):
        assert a != b


def test_mmengines_own_workers_replay_one_epoch() -> None:
    """Why there is `keep_torch_seeds`: without it every epoch of a sweep would see the same augmentations."""
    config = render(combination(), 0, "tiny", paths(), Objective(), 100, loader_workers=2)["train_dataloader"]
    del config["batch_sampler"], config["worker_init_fn"]
    data = Runner.build_dataloader({**config, "dataset": Dice()}, seed=0)
    first, second = ([b["numpy"] for b in data] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_set(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        config = render(combination(), 0, "tiny", paths(), Objective(), 100, threads=threads)["custom_hooks"][0]
        HOOKS.build(config)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
