"""Every backbone at scale tiny: four true maps, everything learns, configs that read back; necks and chosen maps."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from torch import nn
from trials import combination, paths

import runner.plugins  # noqa: F401  registers them with MMDetection
from runner.catalog import BACKBONES, MODELS
from runner.catalog.backbones import Backbone
from runner.configfile import nodes, to_text
from runner.protocol import Objective
from runner.render import render

STRIDES = (4, 8, 16, 32)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    register_all_modules(init_default_scope=True)


def rendered(model: str, backbone: str, scale: str = "tiny", **settings: Any) -> dict[str, Any]:
    trial = combination(model, backbone, scale=scale, **settings)
    return render(trial, 0, scale, paths(), Objective(), 100)["model"]  # type: ignore[arg-type]


def built(config: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = MMDET_MODELS.build(ConfigDict(config))
    return network


def sizes(height: int, width: int) -> list[tuple[int, int]]:
    return [(math.ceil(height / stride), math.ceil(width / stride)) for stride in STRIDES]


@pytest.mark.parametrize("name", BACKBONES)
def test_four_maps_and_everything_learns(name: str) -> None:
    network = built(rendered("mask_rcnn", name)["backbone"])
    network.train()
    with torch.no_grad():  # layers that begin at zero would keep gradients from those before them
        for p in network.parameters():
            p.add_(torch.randn_like(p), alpha=0.02)
    for height, width in ((64, 64), (96, 160)):
        maps = network(torch.randn(2, 3, height, width))
        assert tuple(m.shape[1] for m in maps) == BACKBONES[name].tiny_channels
        assert [tuple(m.shape[2:]) for m in maps] == sizes(height, width)
    sum((m * torch.randn_like(m)).sum() for m in maps).backward()  # type: ignore[union-attr]
    idle = [key for key, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    # a softmax over all places does not feel what is added to every one of them
    idle = [key for key in idle if not key.endswith("context_block.conv_mask.bias")]
    frozen = [key for key, p in network.named_parameters() if not p.requires_grad]
    assert not idle
    assert frozen == (["body.embeddings.mask_token"] if name == "dinov2_small" else [])


@pytest.mark.parametrize("name", BACKBONES)
def test_one_image_trains(name: str) -> None:
    """The last batch of an epoch may hold a single one."""
    network = built(rendered("mask_rcnn", name)["backbone"])
    network.train()
    maps = network(torch.randn(1, 3, 64, 96))
    assert all(torch.isfinite(m).all() for m in maps)


@pytest.mark.parametrize("pretrained", ["none", "imagenet", "/weights/mine.pth"])
@pytest.mark.parametrize("name", BACKBONES)
def test_configs_read_back_and_load_what_was_asked_for(tmp_path: Path, name: str, pretrained: str) -> None:
    entry = BACKBONES[name]
    for scale in ("tiny", "standard"):
        config = rendered("mask_rcnn", name, scale, pretrained=pretrained)["backbone"]
        file = tmp_path / f"{scale}.py"
        file.write_text(to_text({"backbone": config}))
        assert Config.fromfile(file).to_dict()["backbone"] == config
        assert not any(node.get("with_cp") or node.get("type") == "SyncBN" for node in nodes(config))
        assert "pretrained" not in config
        if pretrained == "none":
            assert config.get("frozen_stages", -1) <= 0
            assert not config.get("norm_eval") and not config.get("convert_weights")
        else:
            assert all(config[key] == entry.config[key] for key in ("frozen_stages", "norm_eval") if key in config)
        if pretrained == "imagenet":
            prefix = {"prefix": entry.prefix} if entry.prefix else {}
            assert config["init_cfg"] == {"type": "Pretrained", "checkpoint": entry.imagenet, **prefix}
        else:
            assert "init_cfg" not in config


@pytest.mark.parametrize("name", BACKBONES)
def test_pixels_are_those_the_weights_were_trained_on(name: str) -> None:
    for model in ("mask_rcnn", "rtmdet_ins", "point_rend"):
        processor = rendered(model, name)["data_preprocessor"]
        assert {key: processor[key] for key in ("mean", "std", "bgr_to_rgb")} == BACKBONES[name].pixels


@pytest.mark.parametrize("name", BACKBONES)
def test_a_model_of_three_maps_gets_three(name: str) -> None:
    model = rendered("rtmdet_ins", name)
    network = built(model["backbone"])
    network.eval()
    maps = network(torch.randn(1, 3, 96, 160))
    assert MODELS["rtmdet_ins"].maps == (1, 2, 3)
    assert [m.shape[1] for m in maps] == model["neck"]["in_channels"] == list(BACKBONES[name].tiny_channels[1:])
    assert [tuple(m.shape[2:]) for m in maps] == sizes(96, 160)[1:]


@pytest.mark.parametrize(
    ("model", "neck", "strides"),
    [
        ("mask_rcnn", "HRFPN", (4, 8, 16, 32, 64)),
        ("queryinst", "HRFPN", (4, 8, 16, 32)),
        ("condinst", "HRFPN", (8, 16, 32, 64, 128)),
        ("rtmdet_ins", "CSPNeXtPAFPN", (8, 16, 32)),
        ("mask2former", None, (4, 8, 16, 32)),
    ],
)
def test_hrnet_brings_its_neck_where_a_plain_one_stood(model: str, neck: str | None, strides: tuple[int, ...]) -> None:
    plain, config = rendered(model, "resnet18"), rendered(model, "hrnet_w32")
    assert config.get("neck", {}).get("type") == neck
    if neck == "HRFPN":
        assert {key: config["neck"][key] for key in ("out_channels", "num_outs")} == {
            key: plain["neck"][key] for key in ("out_channels", "num_outs")
        }
    network = built({key: config[key] for key in config if key != "init_cfg"}).eval()
    batch = demo_mm_inputs(1, [[3, 128, 256]], num_classes=2, with_mask=True)
    maps = network.extract_feat(network.data_preprocessor(batch)["inputs"])
    assert [tuple(m.shape[2:]) for m in maps] == [(math.ceil(128 / s), math.ceil(256 / s)) for s in strides]


def test_a_model_keeps_what_its_zoo_config_says_of_training_the_same_network() -> None:
    own = rendered("mask2former", "resnet50", "standard", pretrained="imagenet")["backbone"]
    assert (own["frozen_stages"], own["norm_cfg"]) == (-1, {"type": "BN", "requires_grad": False})
    other = rendered("mask2former", "resnext101_32x4d", "standard", pretrained="imagenet")["backbone"]
    assert (other["frozen_stages"], other["norm_cfg"]) == (1, {"type": "BN", "requires_grad": True})


@pytest.mark.parametrize("entry", BACKBONES.values(), ids=BACKBONES)
def test_what_people_are_told(entry: Backbone) -> None:
    assert entry.norm and entry.imagenet and entry.parameters_m > 0 and entry.memory_mb > 0
    assert (entry.optimizer is None) == (entry.lr is None)
    tensors = built({**entry.config, **entry.tiny}).state_dict()
    for fragment in entry.fresh:
        assert any(re.search(fragment, key) for key in tensors)
