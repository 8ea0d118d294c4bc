"""Tensors out of files by people we do not know: nothing in a file is ever run."""

from __future__ import annotations

import errno
import json
import logging
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import safetensors.torch
import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from runner.sources import INDEXES, MODEL_FILES, SINGLE
from runner.training.weights import OTHER_WEIGHTS, WeightsError

log = logging.getLogger("sweep.weights")
# where others keep their weights in a checkpoint: MMEngine, timm and the original Swin, EMA-trained ones, Lightning
_KEYS = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema", "module", "params")


class _Inert:
    """Stands for every object of a checkpoint that is no tensor, number or text: built from anything, does nothing."""

    def __new__(cls, *_: object, **__: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        return

    def __setstate__(self, _: object) -> None:
        return


def read(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """A checkpoint, whoever wrote it, with its tensors under ``state_dict``.

    Args:
        path: a .pth of torch (zip or legacy), a .safetensors, or a folder with a Hugging Face model.
        map_location: as torch.load's.

    Returns:
        What the file holds (``meta``, ``optimizer`` ...) where it has a ``state_dict``, else that alone.

    Raises:
        WeightsError: it is cut off, no checkpoint, holds no tensors, or wants code to be run.
        OSError: it cannot be read.
    """
    try:
        loaded = _folder(path, map_location) if path.is_dir() else _file(path, map_location)
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # a file that is no checkpoint may raise anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # torch seeks to nowhere in half a zip
            raise
        raise WeightsError(f"{path} is no checkpoint that can be read: {_line(error)}; {OTHER_WEIGHTS}") from error
    found = _tensors(loaded)
    if not found:
        raise WeightsError(f"{path} holds no tensors by name; {OTHER_WEIGHTS}")
    if isinstance(loaded, dict) and loaded.get("state_dict") is found:
        return loaded
    return {"state_dict": found}


def _file(path: Path, map_location: Any) -> Any:
    with path.open("rb") as file:
        head = file.read(9)
    if path.suffix == ".safetensors" or (len(head) == 9 and head[8:] == b"{"):  # eight bytes of length, then JSON
        return safetensors.torch.load_file(path)
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError:
        pass
    # Training tools store more than tensors: MMEngine its log's windows, timm its arguments. Their classes, and
    # whatever else stands in their place, are read as things that do nothing; torch still refuses what it blocks.
    names = get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else _legacy_globals(path)
    log.warning("%s holds more than tensors, which is left out: %s", path, ", ".join(sorted(names)))
    with safe_globals([(_Inert, name) for name in names]):
        return torch.load(path, map_location=map_location, weights_only=True)


def _legacy_globals(path: Path) -> list[str]:
    """Classes and functions that a file of torch before 1.6 names, beyond torch's own."""
    found = set()
    with path.open("rb") as file:
        for _ in range(4):  # magic number, version, machine, then what was saved
            found |= {
                str(name).replace(" ", ".") for code, name, _ in pickletools.genops(file) if code.name == "GLOBAL"
            }
    found = {name.replace("__builtin__.", "builtins.") for name in found}  # Python 2's name, as its protocol has it
    return [name for name in found if not name.startswith(("torch.", "collections.OrderedDict"))]


def _folder(folder: Path, map_location: Any) -> dict[str, torch.Tensor]:
    """All shards of a Hugging Face model."""
    for name in SINGLE:
        if (folder / name).is_file():
            return dict(_file(folder / name, map_location))
    for name in INDEXES:
        if (folder / name).is_file():
            shards = sorted(set(json.loads((folder / name).read_text(encoding="utf-8"))["weight_map"].values()))
            # a name in an index must not lead out of the folder
            return {k: v for shard in shards for k, v in _file(folder / Path(shard).name, map_location).items()}
    raise WeightsError(f"{folder} holds none of {', '.join(MODEL_FILES)}; {OTHER_WEIGHTS}")


def _tensors(loaded: Any) -> dict[str, torch.Tensor] | None:
    """The mapping of names to tensors in what was loaded; None where there is none."""
    if not isinstance(loaded, Mapping):
        return None
    for key in _KEYS:
        if isinstance(loaded.get(key), Mapping) and (inner := _tensors(loaded[key])):
            return inner
    named = {key: value for key, value in loaded.items() if isinstance(value, torch.Tensor)}
    if len(named) == len(loaded) and isinstance(loaded, dict):
        return loaded  # as it is: torch keeps the versions of its layers in an attribute
    return named or None


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    blocked = next((line for line in lines if "GLOBAL" in line), None)  # torch names it below its advice
    return (blocked or next(iter(lines), type(error).__name__)).rstrip(".")[:300]
