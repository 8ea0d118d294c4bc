"""What a trial is worth: a value for each goal of its study."""

from __future__ import annotations

from typing import Literal

from results.ranking.pareto import cost
from results.records import TrialRecord
from runner.protocol import Objective


def directions(objective: Objective) -> list[Literal["maximize", "minimize"]]:
    """Optuna's word for each goal."""
    return ["maximize"] if objective.against is None else ["maximize", "minimize"]


def goals(objective: Objective, row: TrialRecord) -> list[float] | None:
    """The score, and where there is a second goal the cost; None if one of them is missing."""
    found = [row.score] if objective.against is None else [row.score, cost(row, objective.against)]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else None
