"""Data loaders and pipelines: the study's images through the chosen augmentations."""

from __future__ import annotations

from typing import Any

from runner.adapt import image_size
from runner.catalog import AUGMENTATIONS
from runner.protocol import Combination, DataPaths, Part
from runner.share import share_of

_PACK = {"type": "PackDetInputs"}


def set_data(config: dict[str, Any], combination: Combination, data: DataPaths, workers: int) -> None:
    """Writes the three loaders; training goes through the augmentations, validation only through the resize."""
    size = image_size(combination)
    load: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile", "backend_args": None},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
        {"type": "Resize", "scale": size, "keep_ratio": True},
    ]
    test = [
        load[0],
        load[2],
        load[1],
        {**_PACK, "meta_keys": ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")},
    ]
    for name, pipeline in (("train", load), ("val", test)):
        loader = config[f"{name}_dataloader"]
        loader["dataset"].update(
            data_root="",
            metainfo={"classes": data.classes},
            ann_file=getattr(data, f"{name}_annotations"),
            data_prefix={"img": getattr(data, f"{name}_images")},
            pipeline=[dict(transform) for transform in pipeline],
        )
        loader.update(num_workers=workers, persistent_workers=False)
    train = config["train_dataloader"]
    if (share := share_of(combination)) < 1:
        train["dataset"].update(type="StudyShareDataset", share=share)
    train["dataset"] = _augmented(train["dataset"], combination.augmentation, size)
    train["batch_size"] = combination.settings["batch_size"]
    config["test_dataloader"] = config["val_dataloader"]
    for leftover in ("train_pipeline", "test_pipeline", "data_root", "dataset_type", "backend_args"):
        config.pop(leftover, None)


def _augmented(dataset: dict[str, Any], augmentation: tuple[Part, ...], size: tuple[int, int]) -> dict[str, Any]:
    """The data set with the augmentations in order.

    One that mixes images takes them from the data set as it is augmented so far: it is wrapped around it.
    """
    for part in augmentation:
        if AUGMENTATIONS[part.name].mixes:
            dataset = {"type": "StudyMixDataset", "dataset": dataset, "pipeline": []}
        dataset["pipeline"] += _filled(AUGMENTATIONS[part.name].transforms, {**part.params, "size": size})
    dataset["pipeline"].append(dict(_PACK))
    return dataset


def _filled(value: Any, known: dict[str, Any]) -> Any:
    """A copy of `value` with what is known put in for "$name", at any depth."""
    if isinstance(value, str) and value.startswith("$"):
        return known[value[1:]]
    if isinstance(value, dict):
        return {key: _filled(inner, known) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_filled(inner, known) for inner in value)
    return value
