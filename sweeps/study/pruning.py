"""When a training is stopped early: Optuna's pruners, asked in memory.

In the database Optuna reads every unfinished trial, and all others' figures, for each question. Here the trials lie
in memory under the same numbers (Hyperband deals them into its brackets by number).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeps.space.schema import SearchSpace

Mark = Callable[[int, str, Any], None]  # (number, key, value)


class Pruning:
    """Asks one pruner.

    Args:
        space: names the pruner.
        name: of the study; Hyperband's brackets depend on it.
        trials: of the study so far, all of them by number.
        mark: keeps what the pruner remembers about a trial.
    """

    def __init__(self, space: SearchSpace, name: str, trials: Iterable[FrozenTrial], mark: Mark) -> None:
        self._pruner, self._mark = _pruner(space), mark
        self._study = optuna.create_study(study_name=name, direction="maximize", pruner=self._pruner)
        for trial in trials:
            self._add(trial)

    def begun(self, number: int) -> None:
        """The study's trial `number` runs now."""
        missing = number - len(self._all())
        for _ in range(missing):  # numbers that were given in vain
            self._add(optuna.create_trial(state=TrialState.FAIL))
        if missing >= 0:
            self._add(optuna.create_trial(state=TrialState.RUNNING))

    def report(self, number: int, epoch: int, score: float) -> bool:
        """Takes the score of an epoch; whether the trial should be stopped."""
        storage, trial = self._study._storage, self._id(number)
        storage.set_trial_intermediate_value(trial, epoch, score)
        before = storage.get_trial(trial)
        prune = self._pruner.prune(self._study, before)
        for key, value in storage.get_trial(trial).system_attrs.items():
            if key not in before.system_attrs:
                self._mark(number, key, value)
        return prune

    def restarted(self, number: int) -> None:
        """The trial starts from scratch: its figures and the rungs that it had climbed are gone."""
        trial = self._study._storage.get_trial(self._id(number))
        trial.intermediate_values.clear()
        for key in list(trial.system_attrs):
            self._mark(number, key, None)
            del trial.system_attrs[key]

    def ended(self, number: int, state: TrialState, score: float | None) -> None:
        """The trial has ended."""
        trial = self._id(number)
        if not self._study._storage.get_trial(trial).state.is_finished():
            self._study._storage.set_trial_state_values(trial, state, None if score is None else [score])

    def _add(self, trial: FrozenTrial) -> None:
        # None is what `restarted` leaves of a rung
        kept = {key: value for key, value in trial.system_attrs.items() if value is not None}
        template = optuna.create_trial(
            state=trial.state, values=trial.values, intermediate_values=trial.intermediate_values, system_attrs=kept
        )
        self._study._storage.create_new_trial(self._study._study_id, template)

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _id(self, number: int) -> int:
        return self._study._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)


def _pruner(space: SearchSpace) -> optuna.pruners.BasePruner:
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
