"""Who stops hopeless trials early: Optuna's pruners, as a space names them."""

from __future__ import annotations

import optuna

from sweeps.space.schema import SearchSpace


def pruner(space: SearchSpace) -> optuna.pruners.BasePruner:
    """Optuna's pruner; it counts validations, which come once an epoch."""
    options = space.pruner.options
    match space.pruner.kind:
        case "none":
            return optuna.pruners.NopPruner()
        case "median":
            return optuna.pruners.MedianPruner(
                n_startup_trials=options["startup_trials"],
                n_warmup_steps=options["warmup_epochs"] + 1,  # Optuna counts from 0, epochs from 1
                interval_steps=options["interval"],
            )
        case "successive_halving":
            return optuna.pruners.SuccessiveHalvingPruner(
                min_resource=options["min_epochs"], reduction_factor=options["reduction_factor"]
            )
        case "hyperband":
            epochs = space.fixed.get("epochs")
            return optuna.pruners.HyperbandPruner(
                min_resource=options["min_epochs"],
                max_resource=epochs if isinstance(epochs, int) else "auto",
                reduction_factor=options["reduction_factor"],
            )
