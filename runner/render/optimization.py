"""Optimizer and learning-rate schedule."""

from __future__ import annotations

from typing import Any

from runner.protocol import Combination, Part, Scale

_BASE_EPOCHS = 12  # MMDetection's 1x schedule, whose steps are at epochs 8 and 11


def set_schedule(config: dict[str, Any], combination: Combination, iterations: int) -> None:
    """Epochs and learning-rate schedule; ``iterations`` are those of one epoch."""
    epochs = combination.settings["epochs"]
    config["train_cfg"] = {"type": "EpochBasedTrainLoop", "max_epochs": epochs, "val_interval": 1}
    schedule = combination.schedule or Part(name="constant", params={"warmup": 0})
    warmup = min(schedule.params["warmup"], epochs * iterations // 10)
    steps: list[dict[str, Any]] = []
    if warmup:
        steps.append({"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": warmup})
    if schedule.name == "step":
        milestones = sorted({max(1, round(epochs * at / _BASE_EPOCHS)) for at in (8, 11)})
        steps.append(
            {"type": "MultiStepLR", "begin": 0, "end": epochs, "by_epoch": True, "milestones": milestones,
             "gamma": schedule.params["gamma"]}
        )  # fmt: skip
    elif schedule.name == "cosine":
        steps.append({"type": "CosineAnnealingLR", "T_max": epochs, "by_epoch": True, "begin": 0, "end": epochs})
    config["param_scheduler"] = steps


def set_optimizer(config: dict[str, Any], combination: Combination, scale: Scale) -> None:
    """The optimizer with its parameters, in the zoo's wrapper."""
    params = dict(combination.optimizer.params)
    if "beta1" in params:
        params["betas"] = (params.pop("beta1"), params.pop("beta2"))
    if not params.get("nesterov", True):
        params.pop("nesterov")
    wrapper = {**config["optim_wrapper"], "optimizer": {"type": combination.optimizer.name, **params}}
    if scale == "tiny":
        # a random start with few images: one bad batch must not throw the weights away
        wrapper["clip_grad"] = {"max_norm": 35, "norm_type": 2}
    config["optim_wrapper"] = wrapper
