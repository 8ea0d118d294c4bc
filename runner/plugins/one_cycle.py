"""One cycle that keeps what parameters have of their own, and that a checkpoint can hold."""

from __future__ import annotations

from typing import Any

from mmengine.optim import OneCycleLR
from mmengine.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class GroupOneCycleLR(OneCycleLR):
    """mmengine's OneCycleLR; it differs where groups of parameters have learning rates of their own.

    mmengine's gives every group the same rate; this one keeps their ratios. And mmengine's puts a function into its
    state, which torch refuses to read from a checkpoint.

    Args:
        eta_max: peak of a group with the optimizer's own rate; the others as mmengine's.
    """

    def _format_param(self, name: str, optimizer: Any, param: float) -> list[float]:
        """The peak of each group."""
        base = getattr(optimizer, "optimizer", optimizer).defaults["lr"]
        return [param * group["lr"] / base for group in optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """As mmengine's, without the function."""
        return {key: value for key, value in super().state_dict().items() if key != "anneal_func"}
