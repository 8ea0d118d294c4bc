"""The combinations of a study as points: what was chosen, and the mean score over seeds that came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from results.ranking import tried
from results.ranking.standings import stand
from results.records import TrialRecord
from runner.catalog import AUGMENTATIONS
from runner.catalog.augmentations import list_strength
from sweeps.space.exclusion import Assignment


@dataclass(frozen=True)
class Point:
    """A combination with a complete trial.

    Attributes:
        score: mean over its seeds.
        chosen: what the sampler chose, without the seed.
        assignment: the same with the seed, where the space repeats.
        parameters: how many the model has, None where no trial said.
        strength: of its augmentations, 0 to 1 (`runner.catalog.augmentations.Augmentation`), None where one is not in
            the catalog.
    """

    combination: str
    label: str
    score: float
    chosen: Assignment
    assignment: Assignment
    parameters: int | None
    strength: float | None


def points(trials: Sequence[TrialRecord]) -> list[Point]:
    """The combinations by score."""
    names = [name for name in tried.varied(trials) if name != "seed"]
    by_number = {trial.number: trial for trial in trials}
    found = []
    for one in stand(trials).standings:
        first = by_number[one.trials[0]]
        chosen = {name: value for name, value in first.optuna_params.items() if name != "seed"}
        used = tuple(tried.augmentation(first))
        known = all(name in AUGMENTATIONS for name in used)
        found.append(Point(
            one.combination, tried.label(first, names), one.mean, chosen, first.optuna_params, first.parameters,
            list_strength(used) if known else None,
        ))  # fmt: skip
    return found


def stopped(trials: Sequence[TrialRecord]) -> list[Assignment]:
    """What was chosen, without the seed, in each combination of which a pruner let no trial come to its end."""
    ended = {one.combination for one in stand(trials).standings}
    found = {one.combination: one.optuna_params for one in trials if one.state == "pruned"}
    return [
        {name: value for name, value in chosen.items() if name != "seed"}
        for combination, chosen in found.items()
        if combination not in ended
    ]
