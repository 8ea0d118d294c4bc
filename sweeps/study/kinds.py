"""Which of Optuna's samplers a kind is, decided here alone.

Sources: TPE (`sweeps.study.tpe`), Bergstra et al. 2011 (NeurIPS 24) and Watanabe 2023 (arXiv:2304.11127); GP
(`sweeps.study.gp`), `optuna.samplers.GPSampler`; NSGA-II, Deb et al. 2002 (IEEE Trans. Evol. Comput. 6:182); QMC,
Sobol's sequence scrambled (Bergstra & Bengio 2012, JMLR 13:281, section 3).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from runner.errors import UserError
from runner.threads import one_thread
from sweeps.space.schema import SamplerKind, SearchSpace
from sweeps.study.forms import Refused, every_distribution
from sweeps.study.tpe import Tpe

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
                return Tpe(space, seed, refused)
            case "gp":
                try:
                    one_thread()
                except ImportError as error:
                    raise UserError(
                        "sampler gp needs torch where the study is kept, and it is not installed here; "
                        "install it (the CPU build suffices), or write sampler: {kind: tpe}"
                    ) from error
                from sweeps.study.gp import JointGp

                return JointGp(space, seed, refused)
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=space.sampler.population)
            case "qmc":
                return _Sobol(every_distribution(space), space.sampler.seed)
    return optuna.samplers.RandomSampler(seed=seed)


class _Sobol(optuna.samplers.QMCSampler):
    """Optuna's own over all parameters, those under a choice included; by itself it knows those of the first trial."""

    def __init__(self, found: dict[str, BaseDistribution], seed: int) -> None:
        super().__init__(seed=seed, scramble=True, warn_independent_sampling=False)
        self._every = found

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._every
