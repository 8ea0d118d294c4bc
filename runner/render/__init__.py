"""combination -> complete MMDetection config.

The zoo config that the mmdet wheel carries is the base; only what the combination, the data and the scale ask for
is replaced. The result is plain Python data, written as a config file that needs no ``_base_``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runner.adapt import MMDETECTION_SIZE, adapt, image_size
from runner.catalog import BACKBONES, MODELS
from runner.configfile import set_path, zoo_config
from runner.errors import UserError
from runner.protocol import Combination, DataPaths, Objective, Scale
from runner.render.backbone import put_backbone
from runner.render.data import set_data
from runner.render.model import fit_model, set_model
from runner.render.optimization import set_optimizer, set_schedule
from runner.render.runtime import set_metric, set_runtime
from runner.share import share_of, shared

__all__ = ["render", "unknown_paths"]


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
    plugins: Sequence[str] = (),
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
        plugins: modules of the user's own that the config imports (`runner.userparts`).

    Returns:
        Top-level config keys -> values: numbers, strings, lists, tuples, dicts.

    Raises:
        UserError: a path under ``config`` is not in the rendered config.
    """
    model, backbone = MODELS[combination.model.name], BACKBONES[combination.backbone.name]
    config = zoo_config(model.zoo)
    set_model(config, model, combination, scale, len(data.classes))
    put_backbone(config["model"], model, backbone, combination, scale)
    fitted = adapt(data, image_size(combination), scale, combination.settings["adapt"])
    fit_model(config["model"], model, combination, fitted, len(data.classes))
    set_data(config, combination, data, loader_workers)
    images = shared(data.n_train, share_of(combination))
    set_schedule(config, combination, math.ceil(images / combination.settings["batch_size"]))
    set_optimizer(config, combination, scale)
    set_metric(config, model, data, objective, detections)
    set_runtime(config, combination, seed, threads)
    config["custom_imports"]["imports"] += plugins
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
