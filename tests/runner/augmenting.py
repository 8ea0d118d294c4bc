"""Data sets as a rendered config builds them, for the tests of augmentations."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from trials import combination, nuclei, part

from runner import plugins  # noqa: F401  registers them with MMDetection
from runner.catalog import AUGMENTATIONS
from runner.protocol import DataPaths, Objective, Part
from runner.render import render

LISTS = [
    ("photometric_distortion", "equalize", "clahe", "random_crop"),
    ("rotate", "mosaic", "brightness", "copy_paste", "min_iou_random_crop"),
    ("albu", "copy_paste", "all", "mosaic", "random_resize"),
]
EVERY = [(name,) for name in AUGMENTATIONS if name != "none"] + LISTS


def default(name: str) -> Part:
    return part("augmentation", name)


def strongest(name: str) -> Part:
    """Every parameter at the end of its range that changes images most."""
    known = AUGMENTATIONS[name].parameters
    ends = {
        key: p.choices[-1] if p.choices else p.low if key.startswith("min_") else p.high for key, p in known.items()
    }
    return Part(name=name, params={k: float(v) if known[k].kind == "float" else v for k, v in ends.items()})


def config_of(
    augmentation: tuple[Part, ...], data: DataPaths, size: tuple[int, int], workers: int = 0
) -> dict[str, Any]:
    trial = combination(image_size=list(size)).model_copy(update={"augmentation": augmentation})
    return render(trial, 0, "tiny", data, Objective(), 100, loader_workers=workers)


def dataset(augmentation: tuple[Part, ...], data: DataPaths | None = None, size: tuple[int, int] = (128, 128)) -> Any:
    """The training data set of a rendered config."""
    register_all_modules(init_default_scope=True)
    config = Config(config_of(augmentation, data or nuclei(), size))
    inner = config.train_dataloader.dataset
    while "dataset" in inner:
        inner = inner.dataset
    inner.serialize_data = False  # it collects garbage for a third of a second
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools counts its seconds
        return DATASETS.build(config.train_dataloader.dataset)


def seed(value: int) -> None:
    """As ReproducibleHook does before an epoch."""
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def digest(item: dict[str, Any]) -> str:
    """Of all a model is given: pixels, boxes, labels, masks."""
    truth = item["data_samples"].gt_instances
    parts = (item["inputs"].numpy(), truth.bboxes.tensor.numpy(), truth.labels.numpy(), truth.masks.masks)
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in parts)).hexdigest()
