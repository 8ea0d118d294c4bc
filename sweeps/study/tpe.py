"""Optuna's TPE for spaces in which nothing is tried twice.

By itself it proposes the best one again and again in a finite space, and draws groups of conditional parameters apart
(an optimizer here, its learning rate there), so that it cannot tell which of them go together to something new.
Here, where a space is small enough to be listed, whole combinations that were not tried are its candidates: drawn in
proportion to the density of the good ones, of which that with the best ratio to the density of the bad ones is proposed
(Bergstra et al. 2011, NeurIPS 24, section 4; densities of groups multiply, Watanabe 2023, arXiv:2304.11127).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective
from optuna.trial import FrozenTrial, TrialState

from sweeps.space.exclusion import Assignment
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import assignments, count
from sweeps.study.forms import Refused, every_distribution

_LISTED = 1_000  # combinations of a space that are all weighed at every question
_CANDIDATES = 24  # Optuna's own number


def _values(form: BaseDistribution) -> int:
    """How many values a parameter of a listed space has."""
    if isinstance(form, CategoricalDistribution):
        return len(form.choices)
    assert isinstance(form, FloatDistribution | IntDistribution) and form.step is not None
    return round((form.high - form.low) / form.step) + 1


class Tpe(optuna.samplers.TPESampler):
    """All parameters together, groups of conditional ones apart; nothing that would be refused.

    Args:
        space: what can be drawn.
        seed: of the random numbers.
        refused: whether an assignment was tried already, or is forbidden.
    """

    def __init__(self, space: SearchSpace, seed: int, refused: Refused) -> None:
        super().__init__(seed=seed, multivariate=True, group=True, n_ei_candidates=_CANDIDATES)
        self._forms, self._refused = every_distribution(space), refused
        size = count(space)
        self._every = list(assignments(space)) if size is not None and size <= _LISTED else []

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters of a listed space, also those that no trial has had yet."""
        seen = super().infer_relative_search_space(study, trial)
        return self._forms if self._every else seen

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A value of every parameter that the proposal has."""
        ended = study._get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED), use_cache=True)
        left = [one for one in self._every if not self._refused(one)] if len(ended) >= self._n_startup_trials else []
        if not left:
            return super().sample_relative(study, trial, search_space)
        running = study._get_trials(deepcopy=False, states=(TrialState.RUNNING,), use_cache=False)
        others = [one for one in running if one.number != trial.number]
        good, ratio = self._weighed(study, ended, others, left)
        share = np.exp(good - good.max())
        drawn = self._rng.rng.choice(len(left), size=_CANDIDATES, p=share / share.sum())
        return left[int(drawn[np.argmax(ratio[drawn])])]

    def _weighed(
        self, study: optuna.Study, ended: list[FrozenTrial], running: list[FrozenTrial], left: list[Assignment]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of the good ones' density, and of its ratio to the others', for each assignment.

        Those that run count among the others, so that workers who ask at a time do not all go to one place.
        """
        gamma = default_gamma if len(study.directions) == 1 else default_gamma_multiobjective
        below, above = _split_trials(study, [*ended, *running], gamma(len(ended)))
        good, ratio = np.zeros(len(left)), np.zeros(len(left))
        assert self._search_space_group is not None
        groups = self._search_space_group.search_spaces
        unknown = self._forms.keys() - {name for group in groups for name in group}
        for row, one in enumerate(left):  # as likely as any other, of what nobody has tried
            good[row] -= sum(np.log(_values(self._forms[name])) for name in unknown & one.keys())
        for group in groups:
            rows = [number for number, one in enumerate(left) if group.keys() <= one.keys()]
            if not rows or not group:
                continue
            forms = sorted(group.items())
            values = {name: np.array([form.to_internal_repr(left[row][name]) for row in rows]) for name, form in forms}
            density = self._build_parzen_estimator(study, group, below, handle_below=True).log_pdf(values)
            good[rows] += density
            others = self._build_parzen_estimator(study, group, above, handle_below=False).log_pdf(values)
            ratio[rows] += density - others
        return good, ratio

    def _compute_acquisition_func(
        self, samples: dict[str, np.ndarray], mpe_below: _ParzenEstimator, mpe_above: _ParzenEstimator
    ) -> np.ndarray:
        """Optuna's, in spaces that are not listed; what is certain to be refused does not count."""
        found = super()._compute_acquisition_func(samples, mpe_below, mpe_above)
        columns = {name: map(self._forms[name].to_external_repr, values) for name, values in samples.items()}
        for number, row in enumerate(zip(*columns.values(), strict=True)):
            if self._refused(dict(zip(columns, row, strict=True))):
                found[number] = -np.inf
        return found
