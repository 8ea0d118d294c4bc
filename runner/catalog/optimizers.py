"""Optimizers: name -> parameters, with the names of torch.optim.

Pairs become two numbers (``betas``: beta1 and beta2; Rprop's ``etas``: eta_minus and eta_plus, its ``step_sizes``:
step_min and step_max). Left out is what changes the speed but not the result (foreach, fused, capturable,
differentiable), and maximize. ``weight_decay`` stands where the optimizer has one: Rprop, LBFGS and SparseAdam have
none.

LBFGS and SparseAdam are versions of ours of torch's (runner/plugins/lbfgs.py, sparse_adam.py say what differs).

SGD's default is MMDetection's 0.02 for 16 images scaled linearly to the default batch of 2 (arXiv:1706.02677).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.catalog.base import Entry, Parameter

_DECAY = Parameter("float", 0.0001, 0, 1, log=True, help="L2 penalty on the weights")
_NO_DECAY = Parameter("float", 0.0, 0, 1, log=True, help="L2 penalty on the weights")
_BETA1 = Parameter("float", 0.9, 0, 0.9999, help="decay of the first moment")
_BETA2 = Parameter("float", 0.999, 0, 0.99999, help="decay of the second moment")
_DECOUPLED = Parameter("bool", False, help="weight_decay shrinks the weights directly, as AdamW's (arXiv:1711.05101)")


def _lr(default: float, tiny: float, help: str = "learning rate after warm-up") -> Parameter:
    return Parameter("float", default, 0, 1000, log=True, help=help, tiny=tiny)


def _eps(default: float) -> Parameter:
    return Parameter("float", default, 1e-16, 1, log=True, help="added to the denominator")


def _adam(default: float, tiny: float) -> dict[str, Parameter]:
    return {"lr": _lr(default, tiny), "beta1": _BETA1, "beta2": _BETA2, "eps": _eps(1e-8)}


class _SGD(Entry):
    def contradiction(self, params: Mapping[str, Any]) -> str | None:
        """Nesterov's rule, as torch.optim.SGD demands it."""
        if not params["nesterov"] or (params["momentum"] and not params["dampening"]):
            return None
        return (
            f"optimizer SGD: nesterov wants a momentum above 0 and no dampening, found momentum "
            f"{params['momentum']:g} and dampening {params['dampening']:g}; write nesterov: false"
        )


class _Rprop(Entry):
    def contradiction(self, params: Mapping[str, Any]) -> str | None:
        """A step size has its bounds the right way round."""
        low, high = params["step_min"], params["step_max"]
        return None if low <= high else f"optimizer Rprop: expected step_min below step_max, found {low:g} and {high:g}"


OPTIMIZERS: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        _SGD("SGD", "SGD with momentum", "torch.optim.SGD", {
            "lr": _lr(0.0025, 0.01),
            "momentum": Parameter("float", 0.9, 0, 1, help="momentum factor"),
            "dampening": Parameter("float", 0.0, 0, 1, help="share of the gradient kept out of the momentum"),
            "nesterov": Parameter("bool", False, help="Nesterov momentum; wants momentum, and no dampening"),
            "weight_decay": _DECAY,
        }),
        Entry("AdamW", "AdamW", "arXiv:1711.05101", {
            **_adam(0.0001, 0.001),
            "amsgrad": Parameter("bool", False, help="the largest second moment so far (openreview:ryQu7f-RZ)"),
            "weight_decay": Parameter("float", 0.05, 0, 1, log=True, help="decoupled weight decay"),
        }),
        Entry("RMSprop", "RMSprop", "torch.optim.RMSprop", {
            "lr": _lr(0.0001, 0.001),
            "alpha": Parameter("float", 0.99, 0, 0.99999, help="decay of the squared-gradient average"),
            "eps": _eps(1e-8),
            "momentum": Parameter("float", 0.0, 0, 0.9999, help="momentum factor"),
            "centered": Parameter("bool", False, help="divide by the deviation instead of the root mean square"),
            "weight_decay": _DECAY,
        }),
        _Rprop("Rprop", "Rprop", "torch.optim.Rprop", {
            "lr": _lr(0.0001, 0.0001, help="first step size; Rprop finds its own afterwards, no schedule reaches them"),
            "eta_minus": Parameter("float", 0.5, 0.001, 0.999, help="factor of a step size when its gradient turns"),
            "eta_plus": Parameter("float", 1.2, 1.001, 10, help="factor of a step size when its gradient does not"),
            "step_min": Parameter("float", 1e-6, 0, 1, log=True, help="smallest step size"),
            "step_max": Parameter("float", 0.01, 1e-12, 100, log=True, help="largest step size; torch's 50 is for "
                                  "whole data sets, and would end a training on batches"),
        }),
        Entry("ASGD", "Averaged SGD", "torch.optim.ASGD", {
            "lr": _lr(0.01, 0.05),
            "lambd": Parameter("float", 0.0001, 0, 1, log=True, help="decay term"),
            "alpha": Parameter("float", 0.75, 0, 2, help="power of the learning rate's own decay"),
            "t0": Parameter("float", 1e6, 0, 1e12, log=True, help="update at which averaging starts; the average is "
                            "kept in the optimizer, it is not what is validated (the setting ema is)"),
            "weight_decay": _DECAY,
        }),
        Entry("LBFGS", "L-BFGS", "torch.optim.LBFGS", {
            "lr": _lr(0.1, 0.5, help="step length, or the first one tried by the line search"),
            "max_iter": Parameter("int", 4, 1, 100, help="iterations a batch, each with at least one evaluation"),
            "max_eval": Parameter("int", None, 1, 1000, help="evaluations a batch; default: 5/4 of max_iter"),
            "tolerance_grad": Parameter("float", 1e-7, 0, 1, log=True, help="ends a batch at such a gradient"),
            "tolerance_change": Parameter("float", 1e-9, 0, 1, log=True, help="ends a batch at such a progress"),
            "history_size": Parameter("int", 5, 1, 100, help="pairs of gradient and step kept, each twice the "
                                      "model's size, in memory and in checkpoints"),
            "line_search_fn": Parameter("str", "strong_wolfe", choices=("none", "strong_wolfe"),
                                        help="line search; without one the loss may rise"),
        }),
        Entry("Adadelta", "Adadelta", "arXiv:1212.5701", {
            "lr": _lr(1.0, 1.0),
            "rho": Parameter("float", 0.9, 0, 0.99999, help="decay of the squared-gradient average"),
            "eps": _eps(1e-6),
            "weight_decay": _NO_DECAY,
        }),
        Entry("Adagrad", "Adagrad", "jmlr.org/papers/v12/duchi11a.html", {
            "lr": _lr(0.001, 0.01),
            "lr_decay": Parameter("float", 0.0, 0, 1, log=True, help="the learning rate's own decay an update"),
            "initial_accumulator_value": Parameter("float", 0.0, 0, 1000, help="sum of squares to begin with"),
            "eps": _eps(1e-10),
            "weight_decay": _NO_DECAY,
        }),
        Entry("NAdam", "NAdam", "openreview:OM0jvwB8jIp57ZJjtNEZ", {
            **_adam(0.0001, 0.001),
            "momentum_decay": Parameter("float", 0.004, 0, 1, log=True, help="decay of the momentum's own schedule"),
            "decoupled_weight_decay": _DECOUPLED,
            "weight_decay": _NO_DECAY,
        }),
        Entry("RAdam", "RAdam", "arXiv:1908.03265", {
            **_adam(0.0001, 0.001),
            "decoupled_weight_decay": _DECOUPLED,
            "weight_decay": _NO_DECAY,
        }),
        Entry("SparseAdam", "SparseAdam", "torch.optim.SparseAdam", _adam(0.0001, 0.001)),
        Entry("Adamax", "Adamax", "arXiv:1412.6980", {**_adam(0.0002, 0.002), "weight_decay": _NO_DECAY}),
    )
}  # fmt: skip
