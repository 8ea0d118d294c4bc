"""torch's LBFGS, whose steps stay short until it knows a curvature."""

from __future__ import annotations

import torch
from mmengine.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class ShortStepLBFGS(torch.optim.LBFGS):
    """LBFGS that goes on with the length of its first step while it has no pair of gradient and step.

    torch.optim.LBFGS scales its very first step, along the negative gradient, to the length ``lr`` (the sum of
    absolute values). It keeps the pair of step and change of gradient only where the curvature along the step was
    positive. In a detector at its random start it often is not; torch then takes ``lr`` times the whole gradient as
    its second step, several thousand times as long as the first one, and the loss jumps (from 3.5 to 5.6, from 3.7
    to 24.8 in a tiny Mask R-CNN at a tenth of the default rate). Here a step along the bare negative gradient is
    always scaled as the first one is. With a line search, which finds its own length, and once a pair is known,
    nothing differs from torch. Its state is LBFGS's.
    """

    def _add_grad(self, step_size: float | torch.Tensor, direction: torch.Tensor) -> None:
        """Moves the weights; the name and the call are torch's.

        Args:
            step_size: what `direction` is multiplied by.
            direction: of all weights in one row, (parameters,). Scaled in place, since torch takes the pair's step
                from it afterwards.
        """
        later = self.state[self._params[0]]["n_iter"] > 1  # the first one is scaled by torch
        if later and self.param_groups[0]["line_search_fn"] is None:
            gradient = self._gather_flat_grad()  # type: ignore[no-untyped-call]
            if torch.equal(direction, gradient.neg()):  # any known pair turns or scales it
                direction.mul_(min(1.0, 1.0 / float(gradient.abs().sum())))
        super()._add_grad(step_size, direction)
