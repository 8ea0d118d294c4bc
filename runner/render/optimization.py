"""Optimizer and learning-rate schedule."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from runner.catalog import OPTIMIZERS
from runner.errors import UserError
from runner.protocol import Combination, Part, Scale

_BASE_EPOCHS = 12  # MMDetection's 1x schedule, whose steps are at epochs 8 and 11
_CLIP = 35  # MMDetection's, in its SOLOv2
_PAIRS = {"betas": ("beta1", "beta2"), "etas": ("eta_minus", "eta_plus"), "step_sizes": ("step_min", "step_max")}
_Schedule = Callable[[Mapping[str, Any], int, Combination], list[dict[str, Any]]]
_DECAYS = ("norm_decay_mult", "bias_decay_mult", "dwconv_decay_mult", "flat_decay_mult")


def set_schedule(config: dict[str, Any], combination: Combination, iterations: int) -> None:
    """Epochs and learning-rate schedule; ``iterations`` are those of one epoch."""
    epochs = combination.settings["epochs"]
    config["train_cfg"] = {"type": "EpochBasedTrainLoop", "max_epochs": epochs, "val_interval": 1}
    schedule = combination.schedule or Part(name="constant", params={"warmup": 0})
    # Rprop's first step size is its learning rate at the first iteration: no warm-up may shrink it
    plain = combination.optimizer.name == "Rprop"
    config["param_scheduler"] = [] if plain else [
        *_warmup(schedule.params, epochs * iterations // 10),
        *_SCHEDULES.get(schedule.name, _registered(schedule.name))(schedule.params, epochs, combination),
    ]  # fmt: skip


def _warmup(params: Mapping[str, Any], longest: int) -> list[dict[str, Any]]:
    end = min(params.get("warmup", 0), longest)
    factor = params.get("warmup_factor", 0.001)
    # mmengine's LinearLR of a single iteration would keep its start factor for ever
    return [{"type": "LinearLR", "start_factor": factor, "by_epoch": False, "begin": 0, "end": end}] if end > 1 else []


def _step(params: Mapping[str, Any], epochs: int, _: Combination) -> list[dict[str, Any]]:
    milestones = sorted({max(1, round(epochs * at / _BASE_EPOCHS)) for at in (8, 11)})
    return [
        {"type": "MultiStepLR", "begin": 0, "end": epochs, "by_epoch": True, "milestones": milestones,
         "gamma": params["gamma"]}
    ]  # fmt: skip


def _cosine(params: Mapping[str, Any], epochs: int, _: Combination) -> list[dict[str, Any]]:
    return [{"type": "CosineAnnealingLR", "T_max": epochs, "eta_min_ratio": params["min_factor"], **_each(epochs)}]


def _poly(params: Mapping[str, Any], epochs: int, combination: Combination) -> list[dict[str, Any]]:
    lowest = params["min_factor"] * combination.optimizer.params["lr"]  # mmengine's poly knows no ratio
    return [{"type": "PolyLR", "power": params["power"], "eta_min": lowest, **_each(epochs)}]


def _one_cycle(params: Mapping[str, Any], epochs: int, combination: Combination) -> list[dict[str, Any]]:
    """The learning rate alone: a momentum, where the optimizer has one, stays as it is."""
    peak = combination.optimizer.params["lr"]
    return [{"type": "GroupOneCycleLR", "eta_max": peak, "total_steps": epochs, **params, **_each(epochs)}]


def _constant(params: Mapping[str, Any], epochs: int, _: Combination) -> list[dict[str, Any]]:
    return []


def _registered(name: str) -> _Schedule:
    """A user's own: the mmengine scheduler registered under the schedule's name."""
    return lambda params, epochs, _: [{"type": name, **params, **_each(epochs)}]


def _each(epochs: int) -> dict[str, Any]:
    """At every iteration, however many an epoch turns out to have."""
    return {"begin": 0, "end": epochs, "by_epoch": True, "convert_to_iter_based": True}


_SCHEDULES: Mapping[str, _Schedule] = {
    "step": _step, "cosine": _cosine, "poly": _poly, "one_cycle": _one_cycle, "constant": _constant,
}  # fmt: skip


def set_optimizer(config: dict[str, Any], combination: Combination, scale: Scale) -> None:
    """The optimizer with its parameters and what acts on its gradients and rates, in the zoo's wrapper.

    Raises:
        UserError: parameters or settings that cannot be used together.
    """
    chosen, settings = combination.optimizer, combination.settings
    zoo = config["optim_wrapper"]
    wrapper = {**zoo, "optimizer": {"type": chosen.name, **_params(chosen)}}
    _set_clip(wrapper, zoo, combination, scale)
    _set_groups(wrapper, combination)
    if settings["accumulate"] > 1:
        wrapper["accumulative_counts"] = settings["accumulate"]
    if settings["amp"]:
        wrapper["type"] = "StudyAmpOptimWrapper"
    if chosen.name == "LBFGS":
        wrapper["type"] = "ClosureOptimWrapper"
        wrapper["optimizer"]["type"] = "ShortStepLBFGS"
        wrapper.update({"amp": True} if settings["amp"] else {})
    if chosen.name == "SparseAdam":
        wrapper["optimizer"]["type"] = "DenseSparseAdam"
    config["optim_wrapper"] = wrapper


def _params(part: Part) -> dict[str, Any]:
    """torch.optim's arguments of an optimizer of the catalog."""
    params = dict(part.params)
    if problem := OPTIMIZERS[part.name].contradiction(params):
        raise UserError(problem)
    for pair, (one, other) in _PAIRS.items():
        if one in params:
            params[pair] = (params.pop(one), params.pop(other))
    # torch's defaults, which MMDetection's configs do not write
    for name in ("nesterov", "dampening"):
        if not params.get(name, True):
            params.pop(name)
    return {key: None if value == "none" else value for key, value in params.items() if value is not None}


def _set_clip(wrapper: dict[str, Any], zoo: Mapping[str, Any], combination: Combination, scale: Scale) -> None:
    norm = combination.settings["clip_grad"]
    chosen = combination.optimizer.name
    if norm is None and chosen == "LBFGS":
        norm = 0  # its steps have the length the curvature gives them, from unchanged gradients
    elif norm is None and scale == "tiny":
        # a random start with few images: one bad batch must not throw the weights away
        norm = _CLIP
    elif norm is None:
        own = zoo["optimizer"]["type"] == chosen
        norm = None if own or not zoo.get("clip_grad") else _CLIP  # a zoo's 0.01 is made for its AdamW
    if norm is not None:
        wrapper.pop("clip_grad", None)
        wrapper.update({"clip_grad": {"max_norm": norm, "norm_type": 2}} if norm else {})


def _set_groups(wrapper: dict[str, Any], combination: Combination) -> None:
    """What parameters have of their own: the zoo's, and the settings norm_decay and layer_decay."""
    chosen, settings = combination.optimizer.name, combination.settings
    layer_decay = 1.0 if settings["layer_decay"] is None else settings["layer_decay"]
    if chosen == "LBFGS":
        if layer_decay != 1:
            raise UserError(
                f"layer_decay {layer_decay:g} with LBFGS: its steps do not depend on how single weights are scaled, "
                "so they have no learning rates of their own; write layer_decay: 1"
            )
        wrapper.pop("paramwise_cfg", None)
        return
    own = copy.deepcopy(wrapper.pop("paramwise_cfg", None) or {})
    if settings["norm_decay"] is not None:
        own |= {"norm_decay_mult": settings["norm_decay"], "bias_decay_mult": settings["norm_decay"]}
    if "weight_decay" not in OPTIMIZERS[chosen].parameters:
        _drop_decay(own)
    if layer_decay != 1:
        own["layer_decay"] = layer_decay
        wrapper["constructor"] = "LayerDecayConstructor"
    if own:
        wrapper["paramwise_cfg"] = own


def _drop_decay(own: dict[str, Any]) -> None:
    """Factors of a weight decay that is not there, which mmengine refuses."""
    for key in _DECAYS:
        own.pop(key, None)
    for custom in own.get("custom_keys", {}).values():
        custom.pop("decay_mult", None)
