"""When a training is stopped early: Optuna's pruners, asked in memory.

In the database Optuna reads every unfinished trial, and all others' figures, for each question. Here the trials lie
in memory, those of one group in a study of their own: what learns slowly is not stopped by what learns fast (early
stopping ranks unlike learners wrongly: Li et al. 2020, "A system for massively parallel hyperparameter tuning",
arXiv:1810.05934, section 3; Domhan et al. 2015, IJCAI, on curves that cross).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from runner.catalog import BACKBONES
from runner.protocol import Combination
from sweeps.space.schema import PrunerSpec

Mark = Callable[[int, str, Any], None]  # (number, key, value)
Images = Mapping[int, float]  # image -> the score on it alone


class Pruning:
    """Asks one pruner a group.

    Args:
        pruner: which one, ``auto`` decided.
        name: of the study; Hyperband's brackets depend on it and on a trial's number in its group.
        epochs: of a whole training, None where they differ.
        trials: of the study so far, all of them by number.
        groups: of the trials, as far as they have any; the pruner sees no others.
        mark: keeps what the pruner remembers about a trial.
    """

    def __init__(
        self,
        pruner: PrunerSpec,
        name: str,
        epochs: int | None,
        trials: Iterable[FrozenTrial],
        groups: Mapping[int, str],
        mark: Mark,
    ) -> None:
        self._pruner, self._name, self._epochs, self._mark = pruner, name, epochs, mark
        self._studies: dict[str, optuna.Study] = {}
        self._places: dict[int, tuple[str, int]] = {}  # number -> group, id in the group's study
        for trial in trials:
            if trial.number in groups:
                self._add(trial.number, groups[trial.number], trial)

    def begun(self, number: int, group: str) -> None:
        """The study's trial `number` runs now."""
        if number not in self._places:
            self._add(number, group, optuna.create_trial(state=TrialState.RUNNING))

    def report(self, number: int, epoch: int, score: float, images: Images | None = None) -> bool:
        """Takes the score of an epoch; whether the trial should be stopped. One without a group never is."""
        if number not in self._places:
            return False
        study, trial = self._place(number)
        study._storage.set_trial_intermediate_value(trial, epoch, score)
        before = study._storage.get_trial(trial)
        prune = study.pruner.prune(study, before)
        for key, value in study._storage.get_trial(trial).system_attrs.items():
            if key not in before.system_attrs:
                self._mark(number, key, value)
        return prune

    def restarted(self, number: int) -> None:
        """The trial starts from scratch: its figures and the rungs that it had climbed are gone."""
        if number not in self._places:
            return
        study, place = self._place(number)
        trial = study._storage.get_trial(place)
        trial.intermediate_values.clear()
        for key in list(trial.system_attrs):
            self._mark(number, key, None)
            del trial.system_attrs[key]

    def ended(self, number: int, state: TrialState, score: float | None) -> None:
        """The trial has ended."""
        if number not in self._places:
            return
        study, trial = self._place(number)
        if not study._storage.get_trial(trial).state.is_finished():
            study._storage.set_trial_state_values(trial, state, None if score is None else [score])

    def _add(self, number: int, group: str, trial: FrozenTrial) -> None:
        # None is what `restarted` leaves of a rung
        kept = {key: value for key, value in trial.system_attrs.items() if value is not None}
        template = optuna.create_trial(
            state=trial.state, values=trial.values, intermediate_values=trial.intermediate_values, system_attrs=kept
        )
        if group not in self._studies:
            name = f"{self._name} {group}".strip()
            pruner = _pruner(self._pruner, self._epochs)
            self._studies[group] = optuna.create_study(study_name=name, direction="maximize", pruner=pruner)
        study = self._studies[group]
        self._places[number] = group, study._storage.create_new_trial(study._study_id, template)

    def _place(self, number: int) -> tuple[optuna.Study, int]:
        group, trial = self._places[number]
        return self._studies[group], trial


def group(per: str, combination: Combination) -> str:
    """With which others a combination is compared: those of the same name."""
    backbone = combination.backbone.name
    names = {"family": BACKBONES[backbone].family, "backbone": backbone, "model": combination.model.name}
    return names.get(per, "")


def _pruner(spec: PrunerSpec, epochs: int | None) -> optuna.pruners.BasePruner:
    """Optuna's pruner; it counts validations, which come once an epoch.

    Raises:
        ValueError: it is none of Optuna's that looks at one score an epoch.
    """
    options = spec.options
    match spec.kind:
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
            return optuna.pruners.HyperbandPruner(
                min_resource=options["min_epochs"],
                max_resource="auto" if epochs is None else epochs,
                reduction_factor=options["reduction_factor"],
            )
    raise ValueError(f"no study to ask {spec.kind} in")
