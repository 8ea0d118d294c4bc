"""Rendering changes nothing it should not: on one batch and the same weights our model loses what the zoo's does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from trials import combination, paths
from zoo import TEAM, batch, zoo_model

from runner import plugins  # noqa: F401  registers our heads
from runner.catalog import BACKBONES, MODELS
from runner.protocol import Objective
from runner.render import render

# What differs from the zoo on purpose, beside what `zoo_model` takes away:
# the zoo's PointRend is trained on Caffe's ResNet-50, which strides elsewhere and wants other pixels.
_OTHER_BACKBONE = ("point_rend",)
_FAST = ("mask_rcnn", "rtmdet_ins", "condinst", "mask2former")


def build(model: dict[str, Any]) -> torch.nn.Module:
    model["backbone"].pop("init_cfg", None)  # nothing is fetched
    built: torch.nn.Module = MMDET_MODELS.build(Config({"model": model}).model)
    return built


def losses(model: torch.nn.Module) -> dict[str, Any]:
    """Every loss of one training step, seeded; samplers draw at random."""
    data = batch(3, 5)
    torch.manual_seed(7)
    model.train()
    found = model.forward(**model.data_preprocessor(data, training=True), mode="loss")
    return {
        name: [v.item() for v in value] if isinstance(value, list) else value.item() for name, value in found.items()
    }


def ours(name: str) -> dict[str, Any]:
    trial = combination(
        name, MODELS[name].backbone, scale="standard", pretrained="imagenet", adapt="off", image_size=[128, 128]
    )
    model: dict[str, Any] = render(trial, 0, "standard", paths(classes=("ring",)), Objective(), 100)["model"]
    return model


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _FAST else pytest.mark.slow) for name in MODELS]
)
def test_the_loss_is_the_zoos_to_the_last_digit(name: str) -> None:
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    zoo, mine = zoo_model(name), ours(name)
    if name in _OTHER_BACKBONE:
        zoo |= {"backbone": dict(mine["backbone"]), "data_preprocessor": mine["data_preprocessor"]}
    theirs, rendered = build(zoo), build(mine)
    theirs.init_weights()
    rendered.load_state_dict(theirs.state_dict(), strict=True)
    expected = losses(theirs)
    assert all(torch.isfinite(torch.tensor(value)).all() for value in expected.values()), expected
    assert losses(rendered) == expected


def test_every_team_model_is_compared() -> None:
    assert set(TEAM) <= set(MODELS) and not set(TEAM) & set(_OTHER_BACKBONE)
    assert {MODELS[name].backbone for name in MODELS} <= set(BACKBONES)
