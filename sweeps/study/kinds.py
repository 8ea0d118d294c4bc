"""Which of Optuna's samplers a kind is, decided here alone.

Sources: TPE, Bergstra et al. 2011 (NeurIPS 24) and Watanabe 2023 (arXiv:2304.11127), all parameters together, groups
of conditional ones apart (`optuna.samplers.TPESampler`); GP, `optuna.samplers.GPSampler`; NSGA-II, Deb et al. 2002
(IEEE Trans. Evol. Comput. 6:182); QMC, Sobol's sequence scrambled (Bergstra & Bengio 2012, JMLR 13:281, section 3).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator

from runner.errors import UserError
from runner.threads import one_thread
from sweeps.space.schema import SamplerKind, SearchSpace
from sweeps.space.walk import Assignment
from sweeps.study.forms import every_distribution

Refused = Callable[[Assignment], bool]
LEARNING: tuple[SamplerKind, ...] = ("tpe", "gp", "nsga2")  # scores make a difference to them


@dataclass(frozen=True)
class Memory:
    """How many trials a sampler looks at: beyond `most` it keeps the `latest` and the `best`."""

    latest: int
    best: int
    most: int


# TPE looks at every trial for every proposal, though only the best 25 say where to go, and the others, weighed the
# less the older they are, where not to: beyond some, more make it slow and no wiser. What a Gaussian process costs
# grows with the cube of them.
WIDE = Memory(1000, 100, 1500)
NARROW = Memory(150, 50, 300)


def memory(kind: SamplerKind) -> Memory:
    """How many trials a kind looks at."""
    return NARROW if kind == "gp" else WIDE


def sampler(space: SearchSpace, kind: SamplerKind, seed: int, refused: Refused) -> BaseSampler:
    """Optuna's sampler of a kind that draws.

    Args:
        space: what can be drawn.
        kind: ``tpe``, ``gp``, ``nsga2``, ``qmc``, or else at random.
        seed: of the random numbers; a Sobol sequence takes the space's own, so that it goes on where it stopped.
        refused: whether an assignment was tried already, or is forbidden.

    Raises:
        UserError: what it needs is not installed.
    """
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        match kind:
            case "tpe":
                return _Tpe(every_distribution(space), seed, refused)
            case "gp":
                try:
                    one_thread()
                except ImportError as error:
                    raise UserError(
                        "sampler gp needs torch where the study is kept, and it is not installed here; "
                        "install it (the CPU build suffices), or write sampler: {kind: tpe}"
                    ) from error
                from sweeps.study.joint import JointGp

                return JointGp(space, seed, refused)
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=space.sampler.population)
            case "qmc":
                return _Sobol(every_distribution(space), space.sampler.seed)
    return optuna.samplers.RandomSampler(seed=seed)


class _Tpe(optuna.samplers.TPESampler):
    """Optuna's own; of the candidates that it weighs, those that would be refused do not count.

    By itself it proposes the best one again and again in a finite space. Where several groups of parameters make up an
    assignment, one alone cannot tell.
    """

    def __init__(self, found: dict[str, BaseDistribution], seed: int, refused: Refused) -> None:
        super().__init__(seed=seed, multivariate=True, group=True)
        self._forms, self._refused = found, refused

    def _compute_acquisition_func(
        self, samples: dict[str, np.ndarray], mpe_below: _ParzenEstimator, mpe_above: _ParzenEstimator
    ) -> np.ndarray:
        found = super()._compute_acquisition_func(samples, mpe_below, mpe_above)
        columns = {name: map(self._forms[name].to_external_repr, values) for name, values in samples.items()}
        for number, row in enumerate(zip(*columns.values(), strict=True)):
            if self._refused(dict(zip(columns, row, strict=True))):
                found[number] = -np.inf
        return found


class _Sobol(optuna.samplers.QMCSampler):
    """Optuna's own over all parameters, those under a choice included; by itself it knows those of the first trial."""

    def __init__(self, found: dict[str, BaseDistribution], seed: int) -> None:
        super().__init__(seed=seed, scramble=True, warn_independent_sampling=False)
        self._every = found

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._every
