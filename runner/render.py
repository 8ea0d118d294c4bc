"""combination -> complete MMDetection config.

The zoo config that the mmdet wheel carries is the base; only what the combination, the data and the scale ask for
is replaced. The result is plain Python data, written as a config file that needs no ``_base_``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from runner.adapt import MMDETECTION_SIZE, adapt, image_size
from runner.catalog import AUGMENTATIONS, BACKBONES, MODELS
from runner.catalog.models import TINY, Model
from runner.configfile import nodes, set_path, zoo_config
from runner.errors import UserError
from runner.protocol import Combination, DataPaths, Objective, Part, Scale

_BASE_EPOCHS = 12  # MMDetection's 1x schedule, whose steps are at epochs 8 and 11


def render(
    combination: Combination,
    seed: int,
    scale: Scale,
    data: DataPaths,
    objective: Objective,
    detections: int,
    *,
    threads: int | None = None,
    loader_workers: int = 0,
) -> dict[str, Any]:
    """Renders a complete config.

    Args:
        combination: complete, with every default filled in.
        seed: of the training.
        scale: tiny or standard.
        data: where images and labels lie.
        objective: what is measured besides COCO's figures.
        detections: cap per image of every figure.
        threads: CPU threads of torch; None leaves them as they are.
        loader_workers: processes that load images.

    Returns:
        Top-level config keys -> values: numbers, strings, lists, tuples, dicts.

    Raises:
        UserError: a path under ``config`` is not in the rendered config.
    """
    model = MODELS[combination.model.name]
    config = zoo_config(model.zoo)
    fitted = adapt(data, image_size(combination), scale, combination.settings["adapt"])
    config["model"] = _model(config["model"], model, combination, scale, len(data.classes), fitted)
    _set_data(config, combination, data, loader_workers)
    _set_schedule(config, combination, math.ceil(data.n_train / combination.settings["batch_size"]))
    config["optim_wrapper"] = _optim_wrapper(config["optim_wrapper"], combination.optimizer, scale)
    _set_metric(config, model, data, objective, detections)
    _set_runtime(config, combination, seed, threads)
    for path, value in combination.config.items():
        set_path(config, path, value)
    return config


def unknown_paths(combination: Combination, scale: Scale) -> dict[str, str]:
    """The paths under ``config`` that the rendered config does not have, each with what it has instead."""
    nowhere = DataPaths(
        name="any", hash="", classes=("any",), train_images="", train_annotations="", val_images="",
        val_annotations="", sizes=MMDETECTION_SIZE, n_train=100, n_val=1, max_instances=1, object_sizes=(32, 32, 32),
    )  # fmt: skip
    plain = combination.model_copy(update={"config": {}})
    found = {}
    for path, value in combination.config.items():
        config = render(plain, 0, scale, nowhere, Objective(), 100)
        try:
            set_path(config, path, value)
        except UserError as error:
            found[path] = str(error)
    return found


def _model(
    zoo: dict[str, Any],
    entry: Model,
    combination: Combination,
    scale: Scale,
    classes: int,
    fitted: Mapping[str, Any],
) -> dict[str, Any]:
    """The zoo's model with the chosen backbone, our number of classes, the scale and the fit to the data."""
    for path in entry.drop:
        node = zoo
        *parents, last = path.split(".")
        for key in parents:
            node = node[key]
        del node[last]
    if scale == "tiny":
        _shrink(zoo)
    for node in nodes(zoo):
        if "num_classes" in node:
            node["num_classes"] = classes
    backbone = BACKBONES[combination.backbone.name]
    pretrained = combination.settings["pretrained"]
    # a copy: what a path under `config` sets below it must not reach the catalog
    zoo["backbone"] = copy.deepcopy({**backbone.config, **(backbone.tiny if scale == "tiny" else {})})
    zoo["neck"]["in_channels"] = list(backbone.tiny_channels if scale == "tiny" else backbone.channels)
    if pretrained == "imagenet":
        zoo["backbone"]["init_cfg"] = {"type": "Pretrained", "checkpoint": backbone.imagenet}
    elif pretrained == "none" and "norm_eval" in zoo["backbone"]:
        # frozen random layers and frozen random statistics would never learn
        zoo["backbone"].update(frozen_stages=-1, norm_eval=False)
    _fit(zoo, fitted)
    return zoo


def _shrink(model: dict[str, Any]) -> None:
    for node in nodes({k: v for k, v in model.items() if k != "backbone"}):
        for key, replace in TINY.items():
            if isinstance(node.get(key), int) and node[key] in replace:
                node[key] = replace[node[key]]


def _fit(model: dict[str, Any], fitted: Mapping[str, Any]) -> None:
    """Writes detections, proposals and anchors into the model; MMDetection's own where nothing was fitted."""
    test = model["test_cfg"]
    final = test.get("rcnn", test)
    final["max_per_img"] = fitted["detections"]
    if "proposals" not in fitted:
        return
    for rpn in (test.get("rpn"), model.get("train_cfg", {}).get("rpn_proposal")):
        if rpn is not None:
            rpn["max_per_img"] = max(rpn["max_per_img"], fitted["proposals"])
            rpn["nms_pre"] = max(rpn["nms_pre"], 2 * fitted["proposals"])
    if "nms_pre" in test:
        test["nms_pre"] = max(test["nms_pre"], 2 * fitted["detections"])
    for node in nodes(model):
        if node.get("type") == "AnchorGenerator":
            node["scales"] = [fitted["anchor_scale"]]
        if "scale_ranges" in node:  # SOLO: which level sees objects of which size, in pixels
            node["scale_ranges"] = [[max(1, round(x * fitted["size_factor"])) for x in r] for r in node["scale_ranges"]]


def _set_data(config: dict[str, Any], combination: Combination, data: DataPaths, workers: int) -> None:
    size = image_size(combination)
    train = [
        {"type": "LoadImageFromFile", "backend_args": None},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
        {"type": "Resize", "scale": size, "keep_ratio": True},
        *(t for part in combination.augmentation for t in _transforms(part)),
        {"type": "PackDetInputs"},
    ]
    test = [
        {"type": "LoadImageFromFile", "backend_args": None},
        {"type": "Resize", "scale": size, "keep_ratio": True},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
        {
            "type": "PackDetInputs",
            "meta_keys": ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
        },
    ]
    for name, pipeline in (("train", train), ("val", test)):
        loader = config[f"{name}_dataloader"]
        loader["dataset"].update(
            data_root="",
            metainfo={"classes": data.classes},
            ann_file=getattr(data, f"{name}_annotations"),
            data_prefix={"img": getattr(data, f"{name}_images")},
            pipeline=pipeline,
        )
        loader.update(num_workers=workers, persistent_workers=False)
    config["train_dataloader"]["batch_size"] = combination.settings["batch_size"]
    config["test_dataloader"] = config["val_dataloader"]
    for leftover in ("train_pipeline", "test_pipeline", "data_root", "dataset_type", "backend_args"):
        config.pop(leftover, None)


def _transforms(part: Part) -> list[dict[str, Any]]:
    """An augmentation's transforms with its parameters put in for "$name"."""
    return [
        {k: part.params[v[1:]] if isinstance(v, str) and v.startswith("$") else v for k, v in t.items()}
        for t in AUGMENTATIONS[part.name].transforms
    ]


def _set_schedule(config: dict[str, Any], combination: Combination, iterations: int) -> None:
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


def _optim_wrapper(zoo: dict[str, Any], part: Part, scale: Scale) -> dict[str, Any]:
    params = dict(part.params)
    if "beta1" in params:
        params["betas"] = (params.pop("beta1"), params.pop("beta2"))
    if not params.get("nesterov", True):
        params.pop("nesterov")
    wrapper = {**zoo, "optimizer": {"type": part.name, **params}}
    if scale == "tiny":
        # a random start with few images: one bad batch must not throw the weights away
        wrapper["clip_grad"] = {"max_norm": 35, "norm_type": 2}
    return wrapper


def _set_metric(config: dict[str, Any], model: Model, data: DataPaths, objective: Objective, detections: int) -> None:
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


def _set_runtime(config: dict[str, Any], combination: Combination, seed: int, threads: int | None) -> None:
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
