"""What is measured, and what keeps a training repeatable."""

from __future__ import annotations

from typing import Any

from runner.catalog.models import Model
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
    pretrained = combination.settings["pretrained"]
    config["load_from"] = pretrained if pretrained not in ("none", "imagenet") else None
    config["custom_imports"] = {"imports": ["runner.plugins"], "allow_failed_imports": False}
    config["custom_hooks"] = [{"type": "ReproducibleHook", "seed": seed, "threads": threads}]
    config["train_dataloader"]["worker_init_fn"] = {"type": "keep_torch_seeds"}
