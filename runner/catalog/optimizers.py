"""Optimizers: name -> parameters, with the names of torch.optim (beta1 and beta2 become ``betas``).

SGD's default is MMDetection's 0.02 for 16 images scaled linearly to the default batch of 2 (arXiv:1706.02677).
"""

from __future__ import annotations

from runner.catalog.base import Entry, Parameter

_DECAY = Parameter("float", 0.0001, 0, 1, log=True, help="L2 penalty, or decoupled decay for AdamW")


def _lr(default: float, tiny: float) -> Parameter:
    return Parameter("float", default, 0, 1000, log=True, help="learning rate after warm-up", tiny=tiny)


def _optimizer(name: str, title: str, source: str, parameters: dict[str, Parameter]) -> Entry:
    return Entry(name, title, source, {**parameters, "weight_decay": parameters.get("weight_decay", _DECAY)})


OPTIMIZERS = {
    entry.name: entry
    for entry in (
        _optimizer("SGD", "SGD with momentum", "torch.optim.SGD", {
            "lr": _lr(0.0025, 0.01),
            "momentum": Parameter("float", 0.9, 0, 1, help="momentum factor"),
            "nesterov": Parameter("bool", False, help="Nesterov momentum"),
        }),
        _optimizer("AdamW", "AdamW", "arXiv:1711.05101", {
            "lr": _lr(0.0001, 0.001),
            "beta1": Parameter("float", 0.9, 0, 0.9999, help="decay of the first moment"),
            "beta2": Parameter("float", 0.999, 0, 0.99999, help="decay of the second moment"),
            "weight_decay": Parameter("float", 0.05, 0, 1, log=True, help="decoupled weight decay"),
        }),
        _optimizer("Adadelta", "Adadelta", "arXiv:1212.5701", {
            "lr": _lr(1.0, 1.0),
            "rho": Parameter("float", 0.9, 0, 0.99999, help="decay of the squared-gradient average"),
            "weight_decay": Parameter("float", 0.0, 0, 1, log=True, help="L2 penalty"),
        }),
    )
}  # fmt: skip
