"""Data loaders and pipelines: the study's images through the chosen augmentations."""

from __future__ import annotations

from typing import Any

from runner.adapt import image_size
from runner.catalog import AUGMENTATIONS
from runner.protocol import Combination, DataPaths, Part


def set_data(config: dict[str, Any], combination: Combination, data: DataPaths, workers: int) -> None:
    """Writes the three loaders; training goes through the augmentations, validation only through the resize."""
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
