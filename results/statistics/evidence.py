"""Reads what a worker packed of each validation image (``runner.training.evidence``). It may have sent anything."""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import Any

import numpy as np

from results.errors import ResultsError
from results.statistics.perimage import Evidence

VERSION = 1  # of the layout that is read
_MOST_BYTES = 32 << 20  # unpacked; that of 5,000 images with 100 detections has 8 MiB


def layout(blob: bytes) -> int:
    """The version of a blob's layout, 0 if it cannot be read."""
    try:
        return int(_about(_arrays(blob))["version"])
    except Exception:  # noqa: BLE001  numpy raises whatever its parts do at bytes that are no arrays
        return 0


def unpack(blob: bytes) -> Evidence:
    """The evidence that a worker sent.

    Raises:
        ResultsError: it is damaged, too large, or of a layout newer than this version.
    """
    try:
        arrays = _arrays(blob)
        about = _about(arrays)
        if about["version"] != VERSION:
            raise ResultsError(f"a trial's evidence has the layout {about['version']}; update sweep")
        scores = arrays["scores"].astype(np.float64, casting="safe")
        thresholds, sizes = np.array(about["thresholds"], np.float64), tuple(map(str, about["sizes"]))
        shape = (len(sizes), len(thresholds), scores.size)
        found = Evidence(
            str(about["kind"]), int(about["cap"]), thresholds, sizes, _whole(arrays["images"]),
            _whole(arrays["truths"]), _whole(arrays["found"]), scores,
            _flags(arrays["matched"], shape), _flags(arrays["ignored"], shape),
        )  # fmt: skip
        _check(found)
    except ResultsError:
        raise
    except Exception as error:
        raise ResultsError(f"a trial's evidence is damaged: {type(error).__name__}: {error}") from error
    return found


def _arrays(blob: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(blob)) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > _MOST_BYTES:
            raise ResultsError("a trial's evidence is larger than any evaluation's")
    with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _about(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(arrays["about"].tobytes())
    return about


def _whole(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.int64, casting="safe")


def _flags(bits: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    count = math.prod(shape)
    if bits.dtype != np.uint8 or bits.shape != ((count + 7) // 8,):
        raise ValueError("its flags do not fit its scores")
    return np.unpackbits(bits, count=count).reshape(shape).astype(bool)


def _check(found: Evidence) -> None:
    classes, images = len(found.found), len(found.images)
    fits = found.found.shape == (classes, images) and found.truths.shape == (classes, len(found.sizes), images)
    whole = (found.found >= 0).all() and (found.truths >= 0).all() and np.isfinite(found.scores).all()
    if not (images and fits and whole and found.found.sum() == found.scores.size):
        raise ValueError("its numbers contradict each other")
