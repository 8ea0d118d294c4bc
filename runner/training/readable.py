"""Data sets whose broken files are told from broken code."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.registry import DATASETS

# the modules that open and decode pictures and labels
_READERS = (
    "mmcv.transforms.loading",
    "mmdet.datasets.transforms.loading",
    "mmdet.datasets.coco",
    "mmdet.datasets.api_wrappers",
    "pycocotools",
    "PIL",
)


class DataError(Exception):
    """A picture or its labels can't be read; the message names it."""


def built(config: dict[str, Any]) -> Readable:
    """Builds a data set from its config.

    Raises:
        DataError: its labels can't be read.
    """
    try:
        dataset = DATASETS.build(config)
        dataset.full_init()
    except Exception as error:
        if _reading(error):
            raise DataError(_said(str(config.get("ann_file", "labels")), error)) from error
        raise
    return Readable(dataset)


class Readable(torch.utils.data.Dataset[Any]):
    """A data set that says DataError where reading fails, in the process where it fails.

    All else is the data set's own.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        """One image through the pipeline.

        Raises:
            DataError: it or its labels can't be read.
        """
        try:
            return self._dataset[index]
        except Exception as error:
            if _reading(error):
                raise DataError(_said(self._path(index), error)) from error
            raise

    def __deepcopy__(self, _: object) -> Readable:
        """mmengine copies the whole config of a loader before it reads it; nothing changes this one."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name == "_dataset":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def _path(self, index: int) -> str:
        """Of the picture; an image that others are mixed into is named by its own."""
        return str(self._dataset.get_data_info(index).get("img_path", f"image {index}"))


def _reading(error: Exception) -> bool:
    """Whether it was raised while a picture or labels were read; too little memory or disk is no fault of theirs."""
    if isinstance(error, MemoryError) or "Insufficient memory" in str(error):
        return False
    return any(module.startswith(_READERS) for module in _modules(error))


def _modules(error: Exception) -> Iterator[str]:
    for frame, _ in traceback.walk_tb(error.__traceback__):
        yield str(frame.f_globals.get("__name__", ""))


def _said(path: str, error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if path in line else f"{path}: {line}"
