"""The addresses of COCO weights: in the wheel's own lists, and of networks that are ours to the last tensor."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from trials import combination, paths

from runner import plugins  # noqa: F401  registers what configs name
from runner.catalog import BACKBONES, MODELS, catalog_limits
from runner.catalog.zoo_weights import COCO
from runner.configfile import nodes
from runner.errors import UserError
from runner.protocol import Objective
from runner.render import render
from runner.training.weights import zoo_url

SPEC = importlib.util.find_spec("mmdet")
assert SPEC and SPEC.submodule_search_locations
ZOO = Path(SPEC.submodule_search_locations[0]) / ".mim"


@cache
def listed() -> dict[str, str]:
    """Address -> config, of all metafiles."""
    found = {}
    for file in sorted(ZOO.glob("configs/*/metafile.yml")):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for model in document["Models"] if isinstance(document, dict) else document:
            if isinstance(model.get("Weights"), str):
                found[model["Weights"]] = model["Config"]
    return found


def rendered(model: str, backbone: str, **settings: Any) -> dict[str, Any]:
    trial = combination(model, backbone, scale="standard", adapt="off", **settings)
    return render(trial, 0, "standard", paths(classes=tuple(map(str, range(80)))), Objective(), 100)


def test_every_pair_is_ours_and_every_address_the_zoos() -> None:
    assert {model for model, _ in COCO} <= set(MODELS) and {backbone for _, backbone in COCO} <= set(BACKBONES)
    assert [url for url in COCO.values() if url not in listed()] == []
    assert all((ZOO / listed()[url]).is_file() for url in COCO.values())


def test_the_config_names_the_whole_model_and_no_backbone() -> None:
    config = rendered("mask_rcnn", "resnet50", pretrained="coco")
    assert config["load_from"] == COCO["mask_rcnn", "resnet50"]
    assert not config["model"]["backbone"].get("init_cfg")
    assert config["model"]["backbone"]["frozen_stages"] == 1


def test_a_pair_without_weights_is_refused_and_limited() -> None:
    for model in MODELS:
        for backbone in BACKBONES:
            limited = any(
                limit.scale in (None, "standard") and not limit.above
                and model in limit.when.get("model", ()) and backbone in limit.when.get("backbone", ())
                and limit.when.get("pretrained") == ("coco",)
                for limit in catalog_limits()
            )  # fmt: skip
            assert limited == ((model, backbone) not in COCO), (model, backbone)
    with pytest.raises(UserError, match="has no COCO weights of ms_rcnn with resnet50"):
        rendered("ms_rcnn", "resnet50", pretrained="coco")


@pytest.mark.parametrize("name", BACKBONES)
def test_imagenet_weights_have_an_address(name: str) -> None:
    source = BACKBONES[name].imagenet
    assert source
    if source.startswith(("torchvision://", "open-mmlab://")):
        source = zoo_url(source)
    assert source.startswith("https://") or "/" in source


def tensors(model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a model, built without memory."""
    for node in nodes(model):
        node.pop("init_cfg", None)
        if isinstance(node.get("norm_cfg"), dict) and node["norm_cfg"]["type"] == "SyncBN":
            node["norm_cfg"]["type"] = "BN"
    linspace = torch.linspace  # drop-path rates are read back while the model is built
    with monkeypatch.context() as patch, torch.device("meta"):
        patch.setattr(torch, "linspace", lambda *a, **k: linspace(*a, **{**k, "device": "cpu"}))
        built = MMDET_MODELS.build(ConfigDict(model))
    return {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}


FEW = [("mask_rcnn", "resnet50"), ("scnet", "resnet50"), ("rtmdet_ins", "cspnext_s")]


def agree(model: str, backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    register_all_modules(init_default_scope=True)
    zoo = Config.fromfile(ZOO / listed()[COCO[model, backbone]]).to_dict()["model"]
    for branch in ("semantic_head", "semantic_roi_extractor"):  # want labels we do not have
        zoo.get("roi_head", {}).pop(branch, None)
    zoo["data_preprocessor"].pop("pad_seg", None)
    ours = rendered(model, backbone, pretrained="coco")["model"]
    for key in ("mean", "std"):
        assert list(ours["data_preprocessor"][key]) == list(zoo["data_preprocessor"][key])
    for where, key in (("data_preprocessor", "bgr_to_rgb"), ("backbone", "style")):
        assert ours[where].get(key) == zoo[where].get(key)
    assert tensors(ours, monkeypatch) == tensors(zoo, monkeypatch)


@pytest.mark.parametrize(("model", "backbone"), FEW)
def test_the_zoos_weights_fit_our_model(model: str, backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agree(model, backbone, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "backbone"), [pair for pair in COCO if pair not in FEW])
def test_the_zoos_other_weights_fit_our_models(model: str, backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agree(model, backbone, monkeypatch)
