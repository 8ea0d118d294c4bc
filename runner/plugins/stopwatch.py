"""How long a model takes for an image, measured in the validations that are made anyway."""

from __future__ import annotations

import time
from collections.abc import Sized
from statistics import median
from typing import Any

import torch
from torch import nn


class Stopwatch:
    """Times every answer of a model until `stop`: forward and what follows it, no loading and no scoring.

    As MMDetection's ``tools/analysis_tools/benchmark.py`` does, it waits for the GPU before it looks at the clock and
    leaves the first one out.

    Args:
        model: of mmengine; what it answers has an entry for each image.
    """

    def __init__(self, model: nn.Module) -> None:
        self._since, self._seconds = 0.0, list[float]()
        self._hooks = (model.register_forward_pre_hook(self._begin), model.register_forward_hook(self._end))

    def stop(self) -> float | None:
        """Seconds per image, the median over all batches; None where there was none."""
        for hook in self._hooks:
            hook.remove()
        return median(self._seconds[1:] or self._seconds) if self._seconds else None

    def _begin(self, model: nn.Module, given: Any) -> None:
        self._since = _now()

    def _end(self, model: nn.Module, given: Any, answer: Any) -> None:
        self._seconds.append((_now() - self._since) / max(1, len(answer) if isinstance(answer, Sized) else 1))


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
