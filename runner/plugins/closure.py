"""LBFGS under MMDetection: a wrapper that can evaluate the loss of a batch again."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner.amp import autocast

from runner.plugins.amp import ops_in_float32


@dataclass(frozen=True)
class _Generators:
    """States of every random generator a model draws from."""

    python: Any
    numpy: Any
    cpu: torch.Tensor
    cuda: list[torch.Tensor]

    @classmethod
    def now(cls) -> _Generators:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda)

    def restore(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


@dataclass(frozen=True)
class _Batch:
    """What a forward pass was given, after the data preprocessor, and the generators before it."""

    model: BaseModel
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    generators: _Generators

    def loss(self) -> torch.Tensor:
        """The same loss at the present weights: same images, same draws (RoI samplers, dropout)."""
        self.generators.restore()
        # a copy again: heads write into the samples they are given
        args, kwargs = copy.deepcopy((self.args, self.kwargs))
        loss: torch.Tensor = self.model.parse_losses(self.model(*args, **kwargs))[0]
        return loss


@OPTIM_WRAPPERS.register_module()
class ClosureOptimWrapper(OptimWrapper):
    """Runs optimizers that evaluate a loss several times a step (torch.optim.LBFGS), on any mmengine model.

    mmengine hands a wrapper the loss of one forward pass. This one notes, while that pass runs, what the model is
    given; the closure then repeats it. The pass that mmengine made is the closure's first evaluation, so a step
    costs as many forward and backward passes as the optimizer makes evaluations, and no more.

    All evaluations of a step see the same images and draw the same random numbers. Buffers (the running statistics
    of batch norm) and the generators are left as the first evaluation leaves them, however many follow.

    Args:
        optimizer: its ``step`` takes a closure.
        accumulative_counts: batches whose mean loss is one step's; an epoch's last ones are a step of their own
            (`flush`), so that nothing waits across a checkpoint.
        clip_grad: as mmengine's; applied to the gradient of every evaluation.
        amp: bfloat16 autocast. It has the exponents of float32, so no loss is scaled, which torch's GradScaler
            refuses to do with a closure.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        accumulative_counts: int = 1,
        clip_grad: dict[str, Any] | None = None,
        amp: bool = False,
    ) -> None:
        super().__init__(optimizer, accumulative_counts, clip_grad)
        self.amp = amp
        if amp:
            ops_in_float32()
        self._batches: list[_Batch] = []
        self._losses: list[torch.Tensor] = []

    @contextmanager
    def optim_context(self, model: BaseModel) -> Iterator[None]:
        """Notes what the forward pass inside is given."""

        def note(module: BaseModel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._batches.append(_Batch(module, *copy.deepcopy((args, kwargs)), _Generators.now()))

        handle = model.register_forward_pre_hook(note, with_kwargs=True)
        try:
            with super().optim_context(model), self._precision():
                yield
        finally:
            handle.remove()

    def update_params(
        self,
        loss: torch.Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Adds the gradient of `loss`; makes a step when enough batches are together."""
        self.backward(loss)
        self._losses.append(loss.detach())
        if len(self._batches) != len(self._losses):
            raise RuntimeError("a closure needs one forward pass inside optim_context for each loss")
        if len(self._batches) == self._accumulative_counts or self._inner_count == self._max_counts:
            self.flush()

    def flush(self) -> None:
        """Makes a step with the batches that wait, if any do."""
        if not self._batches:
            return
        buffers = [b.clone() for b in self._batches[0].model.buffers()]
        generators = _Generators.now()
        self.optimizer.step(self._closure())
        generators.restore()
        with torch.no_grad():
            for buffer, kept in zip(self._batches[0].model.buffers(), buffers, strict=True):
                buffer.copy_(kept)
        self.zero_grad()
        self._batches.clear()
        self._losses.clear()

    def _closure(self) -> Any:
        count = len(self._batches)
        first = True

        def closure() -> torch.Tensor:
            nonlocal first
            if first:
                first = False
                for gradient in self._gradients():
                    gradient.div_(count)
                total = torch.stack(self._losses).sum() / count
            else:
                self.optimizer.zero_grad()
                total = torch.stack([self._again(batch, count) for batch in self._batches]).sum()
            if self.clip_grad_kwargs:
                self._clip_grad()
            return total

        return closure

    def _again(self, batch: _Batch, count: int) -> torch.Tensor:
        with self._precision():
            loss = batch.loss() / count
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _gradients(self) -> Iterator[torch.Tensor]:
        return (p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None)

    def _precision(self) -> AbstractContextManager[None]:
        return autocast(dtype=torch.bfloat16) if self.amp else nullcontext()
