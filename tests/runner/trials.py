"""Leases, combinations and a disk that fills up, for the tests of this room."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from runner.catalog import PARTS, SETTINGS
from runner.protocol import Combination, DataPaths, Lease, Objective, Part

NUCLEI = Path(__file__).parents[1] / "data" / "nuclei"


def part(kind: str, name: str, scale: str = "tiny", **params: Any) -> Part:
    """A name of the catalog with its defaults, and what differs from them."""
    known = PARTS[kind][name].parameters
    return Part(name=name, params={key: p.at(scale) for key, p in known.items()} | params)


def combination(
    model: str = "mask_rcnn",
    backbone: str = "resnet18",
    *,
    scale: str = "tiny",
    augmentation: tuple[str, ...] = ("flip",),
    optimizer: Part | None = None,
    schedule: str = "step",
    config: dict[str, Any] | None = None,
    **settings: Any,
) -> Combination:
    """A complete combination, as a space would give it."""
    defaults = {name: p.at(scale) for name, p in SETTINGS.items() if name not in ("lr", "seed", "train_share")}
    defaults |= {"epochs": 12, "pretrained": "none"}
    return Combination(
        model=part("model", model, scale),
        backbone=part("backbone", backbone, scale),
        augmentation=tuple(part("augmentation", name, scale) for name in augmentation),
        optimizer=optimizer or part("optimizer", "SGD", scale),
        schedule=part("schedule", schedule, scale),
        settings=defaults | settings,
        config=config or {},
    )


def paths(**changes: Any) -> DataPaths:
    """Data that exist nowhere: 200 images of 320 x 256 pixels, two classes, up to 90 objects an image."""
    known = {
        "name": "somewhere", "hash": "0" * 64, "classes": ("ring", "speck"),
        "train_images": "/data/train", "train_annotations": "/data/train.json",
        "val_images": "/data/val", "val_annotations": "/data/val.json",
        "sizes": (320, 256), "n_train": 200, "n_val": 20, "max_instances": 90, "object_sizes": (8.0, 14.0, 30.0),
    }  # fmt: skip
    return DataPaths.model_validate(known | changes)


def nuclei(**changes: Any) -> DataPaths:
    """The labelled microscope images of the tests."""
    classes = tuple(c["name"] for c in json.loads((NUCLEI / "train.json").read_text())["categories"])
    places = {
        f"{half}_{what}": str(NUCLEI / name)
        for half in ("train", "val")
        for what, name in (("images", half), ("annotations", f"{half}.json"))
    }
    return paths(classes=classes, n_train=12, n_val=4, sizes=(256, 256), **{**places, **changes})


def lease(work_dir: Path, trial: Combination, data: DataPaths | None = None, number: int = 0, **changes: Any) -> Lease:
    """A lease of `trial` on the nuclei, or on `data`."""
    known: dict[str, Any] = {
        "study": "study", "trial": number, "fence": 1, "combination": trial, "seed": 0, "scale": "tiny",
        "data": data or nuclei(), "objective": Objective(), "detections": 100, "work_dir": str(work_dir),
    }  # fmt: skip
    return Lease(**(known | changes))


def fill(folder: Path) -> Path:
    """Leaves no byte free on the disk of `folder`; the file that does it is returned."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return filler
