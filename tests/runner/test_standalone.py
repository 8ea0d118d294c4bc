"""Standalone configs: MMDetection's own in the place of what mends it; what only we have is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config
from trials import combination, part, paths

from runner import plugins
from runner.catalog import BACKBONES, MODELS, OPTIMIZERS, SCHEDULES
from runner.configfile import nodes, to_text
from runner.errors import UserError
from runner.protocol import Combination, Objective
from runner.render import render
from runner.standalone import DIFFERENCES, without_plugins

ONLY_OURS = {
    "backbone": {"convnext_tiny": "HFBackbone", "convnextv2_tiny": "HFBackbone", "swinv2_tiny": "HFBackbone",
                 "dinov2_small": "HFBackbone"},
    "optimizer": {"LBFGS": "ClosureOptimWrapper", "SparseAdam": "DenseSparseAdam"},
}  # fmt: skip


def standalone(trial: Combination) -> dict[str, Any]:
    text = to_text(render(trial, 0, "tiny", paths(), Objective(), 100))
    return Config.fromstring(without_plugins(text), file_format=".py").to_dict()


def kinds(config: dict[str, Any]) -> set[str]:
    return {str(node.get(key)) for node in nodes(config) for key in ("type", "constructor")}


@pytest.mark.parametrize("model", MODELS)
def test_every_model(model: str) -> None:
    assert not kinds(standalone(combination(model))) & set(plugins.__all__)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone(backbone: str) -> None:
    ours = ONLY_OURS["backbone"].get(backbone)
    if ours is None:
        assert not kinds(standalone(combination(backbone=backbone))) & set(plugins.__all__)
        return
    with pytest.raises(UserError) as caught:
        standalone(combination(backbone=backbone))
    assert str(caught.value).startswith(f"{ours} has no standalone form")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(optimizer: str) -> None:
    ours = ONLY_OURS["optimizer"].get(optimizer)
    trial = combination(optimizer=part("optimizer", optimizer))
    if ours is None:
        assert not kinds(standalone(trial)) & set(plugins.__all__)
        return
    with pytest.raises(UserError) as caught:
        standalone(trial)
    assert str(caught.value).startswith(f"{ours} has no standalone form")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule(schedule: str) -> None:
    assert not kinds(standalone(combination(schedule=schedule))) & set(plugins.__all__)


def test_a_share_of_the_images_is_all_of_them() -> None:
    config = standalone(combination(train_share=0.25))
    assert config == standalone(combination()) | {"param_scheduler": config["param_scheduler"]}
    assert any("train_share" in line for line in DIFFERENCES)


def test_averaged_weights_stay() -> None:
    config = standalone(combination(ema=0.01, accumulate=2, amp=True))
    assert [hook["type"] for hook in config["custom_hooks"]] == ["EMAHook"]
    assert config["optim_wrapper"]["type"] == "AmpOptimWrapper"
    assert config["optim_wrapper"]["accumulative_counts"] == 2


def test_layer_decay_is_ours() -> None:
    with pytest.raises(UserError) as caught:
        standalone(combination(layer_decay=0.8))
    assert str(caught.value).startswith("LayerDecayConstructor has no standalone form")
