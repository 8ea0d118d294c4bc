"""What is measured, and what keeps a training repeatable."""

from __future__ import annotations

from typing import Any

from runner.catalog.models import Model
from runner.catalog.zoo_weights import COCO
from runner.errors import UserError
from runner.protocol import Combination, DataPaths, Objective


def set_metric(config: dict[str, Any], model: Model, data: DataPaths, objective: Objective, detections: int) -> None:
    """The study's figures, over boxes too where the model predicts them."""
    metric: dict[str, Any] = {
        "type": "StudyMetric",
        "ann_file": data.val_annotations,
        "metric": ["bbox", "segm"] if model.boxes else ["segm"],
        "backend_args": None,
        "detections": detections,
        "iou_range": objective.iou_thresholds(),
    }
    config["val_evaluator"] = metric
    config["test_evaluator"] = metric


def set_runtime(config: dict[str, Any], combination: Combination, seed: int, threads: int | None) -> None:
    """Seed, hooks and logging."""
    config["randomness"] = {"seed": seed}
    # what decides is the learning rate in the combination: nothing rescales it afterwards
    config.pop("auto_scale_lr", None)
    config["default_hooks"]["checkpoint"].update(interval=1, max_keep_ckpts=1)
    config["default_hooks"]["logger"]["interval"] = 10
    config["visualizer"] = {"type": "DetLocalVisualizer", "vis_backends": [{"type": "LocalVisBackend"}],
                            "name": "visualizer"}  # fmt: skip
    config.pop("vis_backends", None)
    config["load_from"] = _weights(combination)
    config["custom_imports"] = {"imports": ["runner.plugins"], "allow_failed_imports": False}
    config["custom_hooks"] = [
        {"type": "ReproducibleHook", "seed": seed, "threads": threads},
        *([{"type": "AccumulationHook"}] if combination.settings["accumulate"] > 1 else []),
        *_averaging(combination.settings["ema"]),
    ]
    config["train_dataloader"]["worker_init_fn"] = {"type": "keep_torch_seeds"}


def _weights(combination: Combination) -> str | None:
    """Where the weights of a whole model lie. Those that a space names are taken for such until a training reads them.

    Raises:
        UserError: the zoo has no COCO weights of this model with this backbone.
    """
    pretrained, model, backbone = combination.settings["pretrained"], combination.model.name, combination.backbone.name
    if pretrained in ("none", "imagenet"):
        return None
    if pretrained == "coco" and (model, backbone) not in COCO:
        raise UserError(f"pretrained coco: MMDetection's zoo has no COCO weights of {model} with {backbone}")
    return COCO[model, backbone] if pretrained == "coco" else str(pretrained)


def _averaging(momentum: float) -> list[dict[str, Any]]:
    """The hook of RTMDet's zoo config, with another momentum; it swaps the weights before ours sees them."""
    hook = {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": momentum, "update_buffers": True,
            "priority": 49}  # fmt: skip
    return [hook] if momentum else []
