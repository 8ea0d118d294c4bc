"""Further seeds of what was tried: trials that nobody proposes, but a confirmation orders.

Such a trial keeps what the sampler proposed for the combination, as it was; its seed is one that the space does not
have. So it is told from the others, without a mark of its own, by a seed that differs from the proposed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from results.records import TrialRecord
from sweeps.space.exclusion import Assignment
from sweeps.space.resolve import seed_of
from sweeps.space.schema import Choice, IntRange, SearchSpace

T = TypeVar("T")
FURTHER = "further_seed_of"  # user attribute in Optuna's tables: the trial whose combination it trains again


@dataclass(frozen=True)
class Proposal:
    """What is trained next.

    Attributes:
        assignment: as the sampler proposed it.
        seed: another one than the assignment's; None for that.
        of: the trial that it repeats then.
    """

    assignment: Assignment
    seed: int | None = None
    of: int | None = None

    def attributes(self) -> dict[str, object]:
        """What Optuna's tables say of it besides."""
        return {} if self.seed is None else {FURTHER: self.of, "seed": self.seed}


def is_further(space: SearchSpace, row: TrialRecord) -> bool:
    """Whether a trial was ordered by a confirmation: it spends no budget of trials and is not pruned."""
    return row.seed != seed_of(space, row.optuna_params)


def highest_seed(space: SearchSpace) -> int:
    """That the space may propose; -1 where it searches none."""
    match space.search.get("seed"):
        case Choice(labels=labels):
            return max((label for label in labels if isinstance(label, int)), default=-1)
        case IntRange(high=high):
            return high
    return -1


def shown(by_name: Mapping[str, T], further: bool) -> dict[str, T]:
    """The parameters (or their forms) in Optuna's tables: without the proposed seed where another one is trained."""
    return {name: value for name, value in by_name.items() if not (further and name == "seed")}
