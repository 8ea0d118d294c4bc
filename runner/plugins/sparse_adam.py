"""torch's SparseAdam for the dense gradients of an ordinary network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from mmengine.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class DenseSparseAdam(torch.optim.SparseAdam):
    """SparseAdam that makes gradients sparse itself: an entry of a tensor counts where its gradient is not zero.

    torch.optim.SparseAdam refuses dense gradients. Here each is turned into a sparse one for the time of the step,
    after accumulation, unscaling and clipping. What that means: a weight whose gradient is exactly zero is left
    alone, and so are its two moments, while Adam would decay both and still move the weight by what is left of its
    momentum. The bias correction counts updates of the whole tensor, not of the entry. In a detector zeros come
    from units that ReLU or an empty batch of RoIs shut off; most entries are not zero, so it stays close to Adam
    without weight decay, which SparseAdam does not have.

    Its state is SparseAdam's (dense moments, one count a tensor), so it is saved and resumed as that.
    """

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update. Gradients are dense again afterwards."""
        if closure is not None:
            raise ValueError("SparseAdam is stepped without a closure: gradients are made sparse before the step")
        dense = [
            (p, p.grad) for group in self.param_groups for p in group["params"]
            if p.grad is not None and not p.grad.is_sparse
        ]  # fmt: skip
        for parameter, gradient in dense:
            parameter.grad = gradient.to_sparse()
        super().step()  # type: ignore[no-untyped-call]
        for parameter, gradient in dense:
            parameter.grad = gradient
        return None
