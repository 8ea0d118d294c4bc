"""Names and numbers of a combination -> what mmengine builds of them: optimizer, groups, schedule."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS as MMDET_MODELS
from toys import IMAGES, Toy, rates_of, rendered, train
from trials import combination, part

from runner.catalog import BACKBONES, MODELS, OPTIMIZERS
from runner.configfile import zoo_config
from runner.errors import UserError
from runner.plugins.closure import ClosureOptimWrapper
from runner.plugins.layer_decay import MOST_LAYERS, layer_ids

PAIRS = {"betas": ("beta1", "beta2"), "etas": ("eta_minus", "eta_plus"), "step_sizes": ("step_min", "step_max")}


def built(trial: dict[str, Any], model: torch.nn.Module | None = None) -> OptimWrapper:
    register_all_modules(init_default_scope=True)
    return build_optim_wrapper(model or Toy(), Config(rates_of(combination(**trial))).optim_wrapper)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_mmengine_builds_what_is_named(name: str) -> None:
    """The class of that name in torch.optim, or one of ours below it, with every parameter of the catalog."""
    chosen = part("optimizer", name)
    wrapper = built({"optimizer": chosen})
    assert isinstance(wrapper.optimizer, getattr(torch.optim, name))
    assert isinstance(wrapper, ClosureOptimWrapper) is (name == "LBFGS")
    wanted = {key: None if value == "none" else value for key, value in chosen.params.items() if value is not None}
    for pair, names in PAIRS.items():
        if names[0] in wanted:
            wanted[pair] = tuple(wanted.pop(key) for key in names)
    assert wrapper.optimizer.defaults.items() >= wanted.items()
    assert ("weight_decay" in wanted) is ("weight_decay" in wrapper.optimizer.defaults)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("scale", ["tiny", "standard"])
def test_defaults_are_within_their_ranges(name: str, scale: str) -> None:
    for key, parameter in OPTIMIZERS[name].parameters.items():
        assert parameter.at(scale) is None or parameter.problem(parameter.at(scale)) is None, key


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_meets_norm_decay_in_any_model(name: str) -> None:
    """What has no weight decay has nothing to multiply, and must not fail for it."""
    wrapper = built({"optimizer": part("optimizer", name), "norm_decay": 0.0})
    decays = {group.get("weight_decay") for group in wrapper.param_groups}
    wanted = OPTIMIZERS[name].parameters.get("weight_decay")
    assert decays == ({None} if wanted is None else {0.0, wanted.at("tiny")})


@pytest.mark.parametrize(("momentum", "dampening"), [(0.0, 0.0), (0.9, 0.1)])
def test_nesterov_without_momentum(momentum: float, dampening: float) -> None:
    chosen = part("optimizer", "SGD", nesterov=True, momentum=momentum, dampening=dampening)
    with pytest.raises(UserError, match="optimizer SGD: nesterov wants a momentum above 0 and no dampening, found"):
        rendered(combination(optimizer=chosen))


@pytest.mark.parametrize(
    ("model", "scale", "name", "setting", "norm"),
    [
        ("mask_rcnn", "standard", "SGD", None, None),
        ("mask_rcnn", "tiny", "SGD", None, 35),
        ("mask_rcnn", "tiny", "LBFGS", None, None),
        ("mask_rcnn", "tiny", "LBFGS", 3.0, 3),
        ("mask_rcnn", "tiny", "SGD", 0.0, None),
        ("mask_rcnn", "standard", "SGD", 2.5, 2.5),
        ("solov2", "standard", "SGD", None, 35),
        ("solov2", "standard", "SGD", 0.0, None),
        ("solov2", "standard", "AdamW", None, 35),
    ],
)
def test_clipping(model: str, scale: str, name: str, setting: float | None, norm: float | None) -> None:
    trial = combination(model, scale=scale, optimizer=part("optimizer", name, scale), clip_grad=setting)
    clip = rates_of(trial, scale)["optim_wrapper"].get("clip_grad")  # type: ignore[arg-type]
    assert (clip and clip["max_norm"]) == norm


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["LBFGS", "Rprop", "SparseAdam"])
def test_what_has_no_weight_decay_meets_every_zoo_recipe(model: str, name: str) -> None:
    wrapper = rates_of(combination(model, optimizer=part("optimizer", name)))["optim_wrapper"]
    build_optim_wrapper(Toy(), ConfigDict(wrapper))


def rates(tmp_path: Path, schedule: str, **params: Any) -> list[float]:
    """Learning rates of 10 epochs of 6 iterations, over the optimizer's own."""
    chosen = {"batch_size": 2, "epochs": 10, "optimizer": part("optimizer", "SGD", lr=0.5)}
    trial = combination(**chosen, schedule=schedule)
    assert trial.schedule is not None
    trial.schedule.params.update(params)
    assert IMAGES == 12
    return [rate / 0.5 for rate in train(tmp_path, trial=trial)[1]]


def test_step(tmp_path: Path) -> None:
    found = rates(tmp_path, "step", warmup=4, warmup_factor=0.2, gamma=0.5)
    assert found[:5] == pytest.approx([0.2, 0.2 + 0.8 / 3, 0.2 + 1.6 / 3, 1, 1])
    assert found[5:42] == pytest.approx([1] * 37), "steps of 8/12 and 11/12 of ten epochs are at 7 and 9"
    assert found[42:54] == pytest.approx([0.5] * 12)
    assert found[54:] == pytest.approx([0.25] * 6)


def test_warm_up_takes_a_tenth_of_the_training_at_most(tmp_path: Path) -> None:
    found = rates(tmp_path, "constant", warmup=500)
    assert found == pytest.approx([0.001 + 0.999 * i / 5 for i in range(6)] + [1] * 54)


def test_cosine(tmp_path: Path) -> None:
    found = rates(tmp_path, "cosine", warmup=0, min_factor=0.1)
    assert found == pytest.approx([0.1 + 0.9 * (1 + math.cos(math.pi * i / 60)) / 2 for i in range(60)])


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_poly(tmp_path: Path, power: float) -> None:
    found = rates(tmp_path, "poly", warmup=0, power=power)
    assert found == pytest.approx([(1 - i / 59) ** power for i in range(60)], abs=1e-6)


@pytest.mark.parametrize("shape", ["cos", "linear"])
def test_one_cycle_is_torchs(tmp_path: Path, shape: str) -> None:
    found = rates(tmp_path, "one_cycle", anneal_strategy=shape, pct_start=0.4)
    optimizer = torch.optim.Adagrad([torch.nn.Parameter(torch.zeros(1))])
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, 60, pct_start=0.4, anneal_strategy=shape, cycle_momentum=False
    )  # type: ignore[arg-type]
    wanted = []
    for _ in range(60):
        wanted += theirs.get_last_lr()
        optimizer.step()
        theirs.step() if len(wanted) < 60 else None
    assert found == pytest.approx(wanted)
    assert max(found) == pytest.approx(1)


def test_rprop_starts_with_its_own_step_size(tmp_path: Path) -> None:
    assert rates_of(combination(optimizer=part("optimizer", "Rprop")))["param_scheduler"] == []


def test_averaging_is_rtmdets() -> None:
    hooks = zoo_config(MODELS["rtmdet_ins"].zoo)["custom_hooks"]
    (own,) = [hook for hook in hooks if hook["type"] == "EMAHook"]
    assert rates_of(combination(ema=own["momentum"]))["custom_hooks"][1:] == [own]
    assert rates_of(combination())["custom_hooks"][1:] == []


NAMES = {
    "stem.0.weight": 0, "conv1.weight": 0, "layer1.0.conv1.weight": 1, "layer1.0.downsample.1.bias": 1,
    "layer1.1.conv1.weight": 2, "layer2.0.conv1.weight": 3, "transition1.0.weight": 3, "norm3.weight": 3,
}  # fmt: skip


def test_layers_of_a_residual_network() -> None:
    assert layer_ids(NAMES) == NAMES


@pytest.mark.parametrize(
    "pattern", ["encoder.layer.{}.a.weight", "stages.0.blocks.{}.norm.weight", "layers.1.1.{}.x", "blocks.{}.x"]
)
def test_many_blocks_are_gathered_evenly(pattern: str) -> None:
    found = list(layer_ids(["patch_embed.x", *(pattern.format(i) for i in range(24))]).values())
    assert found == [0, *(1 + i // 2 for i in range(24))]


@pytest.mark.parametrize("name", BACKBONES)
def test_layers_of_every_backbone(name: str) -> None:
    """In the order of the forward pass, from the stem, or the first block, on; at least the four stages."""
    register_all_modules(init_default_scope=True)
    backbone = MMDET_MODELS.build(Config(rendered(combination(backbone=name))["model"]["backbone"]))
    found = list(layer_ids(key for key, _ in backbone.named_parameters()).values())
    assert found[0] in (0, 1)
    assert found == sorted(found)
    assert set(found) == set(range(found[0], found[-1] + 1))
    assert 4 <= found[-1] <= MOST_LAYERS


@pytest.mark.parametrize(("backbone", "layers"), [("resnet18", 8), ("swin_tiny", 12)])
def test_layer_decay(backbone: str, layers: int) -> None:
    config = rendered(combination(backbone=backbone, layer_decay=0.5, norm_decay=0.0, schedule="one_cycle"))
    register_all_modules(init_default_scope=True)
    model = MMDET_MODELS.build(Config(config["model"]))
    wrapper = build_optim_wrapper(model, ConfigDict(config["optim_wrapper"]))
    names = {id(p): name for name, p in model.named_parameters()}
    share = {names[id(g["params"][0])]: g["lr"] / 0.01 for g in wrapper.optimizer.param_groups}
    ids = layer_ids(key for key, _ in model.backbone.named_parameters())
    assert max(ids.values()) <= layers
    for name, found in share.items():
        layer = ids.get(name.removeprefix("backbone.")) if name.startswith("backbone.") else None
        assert found == pytest.approx(1 if layer is None else 0.5 ** (max(ids.values()) + 1 - layer)), name
    assert len(set(share.values())) == max(ids.values()) + 2
    assert len(share) == sum(1 for p in model.parameters() if p.requires_grad)


def test_one_cycle_keeps_the_ratios_of_layer_decay(tmp_path: Path) -> None:
    trial = combination(schedule="one_cycle", layer_decay=0.25, epochs=1, batch_size=2)
    runner, _ = train(tmp_path, trial=trial)
    found = {group["max_lr"] for group in runner.optim_wrapper.param_groups}
    assert found == {0.01, 0.0025}, "a backbone without numbered blocks is one layer"


def test_lbfgs_has_no_rates_of_single_weights() -> None:
    with pytest.raises(UserError, match=r"layer_decay 0\.8 with LBFGS: its steps do not depend on"):
        rendered(combination(optimizer=part("optimizer", "LBFGS"), layer_decay=0.8))
