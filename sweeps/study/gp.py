"""Optuna's Gaussian process over all of a space's parameters together, those that exist only under some choice as well.

By itself it models what every trial has and draws the rest at random: in a space of optimizers with learning rates of
their own it would not learn the rates. Here a parameter that a combination does not have stands at one fixed value, so
that combinations without it do not differ in it. By itself it looks at complete trials alone as well, and a pruner
leaves few of those: here a stopped one has the score with which it was stopped.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna._gp.acqf import BaseAcquisitionFunc
from optuna._gp.search_space import SearchSpace as Encoding
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers._gp.sampler import GPSampler, _get_params
from optuna.trial import FrozenTrial, TrialState

from sweeps.space.schema import SearchSpace
from sweeps.space.walk import assignments, count
from sweeps.study.forms import Refused, every_distribution

_MODELLED = 5_000  # combinations of a space that are all weighed at every question
_STARTUP = 8  # random combinations before the model is asked


class JointGp(GPSampler):
    """Weighs every combination of a finite space that was not tried, so that none is proposed twice.

    In a larger one Optuna searches for the best itself.

    Args:
        space: what can be drawn.
        seed: of the random numbers.
        refused: whether an assignment was tried already, or is forbidden.
    """

    def __init__(self, space: SearchSpace, seed: int, refused: Refused) -> None:
        super().__init__(seed=seed, warn_independent_sampling=False, n_startup_trials=_STARTUP)
        self._forms, self._refused = every_distribution(space), refused
        self._absent = {name: _fixed(form) for name, form in self._forms.items()}
        size = count(space)
        self._every = list(assignments(space)) if size is not None and size <= _MODELLED else []

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, also those that the trial will turn out not to have."""
        return self._forms

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A value of every parameter."""
        return super().sample_relative(_Filled(study, self._forms, self._absent), trial, search_space)  # type: ignore[arg-type]

    def _optimize_acqf(self, acqf: BaseAcquisitionFunc, best_params: np.ndarray | None) -> np.ndarray:
        left = [one for one in self._every if not self._refused(one)]
        if not left:
            return super()._optimize_acqf(acqf, best_params)
        rows = Encoding(self._forms).get_normalized_params(
            [optuna.create_trial(value=0.0, params={**self._absent, **one}, distributions=self._forms) for one in left]
        )
        return np.asarray(rows[int(np.argmax(acqf.eval_acqf_no_grad(rows)))])


class _Filled:
    """A study whose trials have every parameter."""

    def __init__(self, study: optuna.Study, forms: dict[str, BaseDistribution], absent: dict[str, Any]) -> None:
        self._study, self._forms, self._absent = study, forms, absent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, **wanted: Any) -> Sequence[FrozenTrial]:
        states = wanted.pop("states", None)
        if states and TrialState.COMPLETE in states and not self._study._is_multi_objective():
            states = (*states, TrialState.PRUNED)
        found = self._study._get_trials(states=states, **wanted)
        return [self._filled(trial) for trial in found if trial.state != TrialState.PRUNED or _last(trial) is not None]

    def _filled(self, trial: FrozenTrial) -> FrozenTrial:
        whole = copy.copy(trial)
        whole._params = {**self._absent, **_get_params(trial)}
        whole._distributions = self._forms
        if trial.state == TrialState.PRUNED:
            whole.state, whole.values = TrialState.COMPLETE, [_last(trial)]
        return whole


def _last(trial: FrozenTrial) -> float | None:
    """The score of its last epoch; None where it has none that is a number."""
    score = trial.intermediate_values.get(trial.last_step) if trial.last_step is not None else None
    return score if score is not None and math.isfinite(score) else None


def _fixed(form: BaseDistribution) -> Any:
    return form.choices[0] if isinstance(form, CategoricalDistribution) else form.low  # type: ignore[attr-defined]
