"""Accumulated gradients across epochs and checkpoints."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from runner.plugins.closure import ClosureOptimWrapper


@HOOKS.register_module()
class AccumulationHook(Hook):
    """Keeps in a checkpoint the gradients that wait for their update.

    mmengine accumulates on from one epoch into the next and its checkpoints do not hold what is gathered, so a
    resumed training would lose it. `ClosureOptimWrapper` waits with whole batches, which no checkpoint should hold:
    its step is made at the end of an epoch, with as many as there are.
    """

    priority = "VERY_HIGH"  # before the averaging of weights

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """At an epoch's last iteration, LBFGS makes its step."""
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, ClosureOptimWrapper) and batch_idx + 1 == len(runner.train_dataloader):
            wrapper.flush()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Adds ``gradients``: parameter name -> gradient."""
        checkpoint["gradients"] = {name: p.grad for name, p in runner.model.named_parameters() if p.grad is not None}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Puts them back when a training is resumed."""
        if not runner._resume:
            return
        parameters = dict(runner.model.named_parameters())
        for name, gradient in checkpoint.get("gradients", {}).items():
            parameters[name].grad = gradient.to(parameters[name])
