"""Weights that became NaN or infinite, behind whatever they made a model raise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from mmengine.runner import Runner

from runner.plugins.report import NonFiniteLossError


@contextlib.contextmanager
def weights_watched(runner: Runner) -> Iterator[None]:
    """Whatever broken weights make a model raise, they are what is wrong.

    Raises:
        NonFiniteLossError: they became NaN or infinite before the loss was looked at.
    """
    try:
        yield
    except (NonFiniteLossError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if _ruined(runner.model):
            line = f"the weights became NaN or infinite in epoch {runner.epoch + 1}"
            raise NonFiniteLossError(line) from error
        raise


def _ruined(model: torch.nn.Module) -> bool:
    with contextlib.suppress(RuntimeError):  # a GPU that failed answers nothing any more
        return not all(bool(weights.isfinite().all()) for weights in model.parameters())
    return False
