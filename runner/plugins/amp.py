"""Mixed precision on a GPU as MMDetection does it, and on a CPU."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class StudyAmpOptimWrapper(AmpOptimWrapper):
    """mmengine's AmpOptimWrapper; without a GPU bfloat16 autocast, which mmengine's refuses.

    On a GPU nothing differs: float16 and a dynamic loss scale. On a CPU the loss is not scaled, as bfloat16 has the
    exponents of float32, and mmcv's ops, which know no bfloat16 there, compute in float32 and round.

    Args:
        optimizer: what updates the weights.
        kwargs: of mmengine's OptimWrapper (accumulative_counts, clip_grad).
    """

    def __init__(self, optimizer: torch.optim.Optimizer, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            super().__init__(optimizer=optimizer, **kwargs)
            return
        OptimWrapper.__init__(self, optimizer, **kwargs)
        self.loss_scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.cast_dtype = torch.bfloat16
        self._scale_update_param = None
        ops_in_float32()


def ops_in_float32() -> None:
    """Lets every compiled op of mmcv take bfloat16, which few of them know, for the rest of the process."""
    ops = importlib.import_module("mmcv._ext")
    for name in dir(ops):
        op = getattr(ops, name)
        if callable(op) and not name.startswith("_") and not hasattr(op, "__wrapped__"):
            setattr(ops, name, _in_float32(op))


def _in_float32(op: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(op)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        low = [a for a in (*args, *kwargs.values()) if _is_low(a)]
        if not low:
            return op(*args, **kwargs)
        high = {id(a): a.float() for a in low}
        result = op(*(high.get(id(a), a) for a in args), **{k: high.get(id(a), a) for k, a in kwargs.items()})
        for tensor in low:
            # ops write their results into what they are given; what they only read must keep its version for autograd
            computed = high[id(tensor)].to(torch.bfloat16)
            if not torch.equal(tensor, computed):
                tensor.copy_(computed)
        return result

    return wrapped


def _is_low(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
