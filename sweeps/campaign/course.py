"""How far a campaign has come: what each stage found, and which combination the next one starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from results.ranking.stages import decided, places, trained_alike
from results.reader import Reader
from results.records import TrialRecord
from runner.protocol import Combination, Scalar, Scale
from sweeps.access.remote import Remote
from sweeps.space.exclusion import Assignment, first_allowed
from sweeps.space.resolve import resolve, written
from sweeps.space.schema import Choice, SearchSpace
from sweeps.space.walk import Given, first, suggest

_ANY_IMAGES = 100  # training images: only the default number of epochs follows them, which is never handed on


@dataclass(frozen=True)
class Best:
    """A combination that a stage tried.

    Attributes:
        space: of the stage.
        assignment: what was chosen there.
        mean: of its score over seeds; None where nothing is trained yet.
    """

    space: SearchSpace
    assignment: Assignment
    mean: float | None = None

    def written(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """As one would write it: (fixed, config)."""
        return written(self.space, self.assignment)

    def value(self, key: str) -> Any:
        """What it has for a part or setting, None where its space says nothing of it."""
        return self.written()[0].get(key)

    def combination(self, scale: Scale) -> Combination:
        """All of it, with defaults."""
        return resolve(self.space, self.assignment, scale, _ANY_IMAGES)[0]


@dataclass(frozen=True)
class Found:
    """What a stage found, the best one first.

    Attributes:
        trials: of the stage; none where nothing is trained yet.
    """

    space: SearchSpace
    bests: tuple[Best, ...]
    trials: tuple[TrialRecord, ...] = ()


@dataclass
class Course:
    """The stages that have ended, in order.

    Attributes:
        scale: of the campaign.
        broken: what stages search of which the spaces could not be read, as far as is known.
    """

    scale: Scale
    founds: list[Found] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    @property
    def winner(self) -> Best | None:
        """The best combination of all stages so far: a stage that finds nothing better changes nothing.

        One that trains otherwise than those before (`results.ranking.stages.trained_alike`) cannot be compared: it
        decides.
        """
        best: Best | None = None
        trials: tuple[TrialRecord, ...] = ()
        for found in self.founds:
            top = found.bests[0]
            better = best is None or best.mean is None or top.mean is None or top.mean >= best.mean
            if better or not trained_alike(trials, found.trials):
                best, trials = top, found.trials
        return best

    def ranked(self, key: str) -> list[Best]:
        """The winner, then the combinations of the last stage that searched `key`, best first; empty if none did."""
        stage = next((found for found in reversed(self.founds) if key in found.space.search), None)
        assert self.winner or not stage
        return [self.winner, *stage.bests] if self.winner and stage else []


def found(reader: Reader | Remote, space: SearchSpace) -> Found | None:
    """What the stage of a space found, by the ranking's own order; None where no trial is complete."""
    studies = {one.name: one for one in reader.studies()}
    record = studies.get(space.study)
    if record is None:
        return None
    trials = reader.trials(space.study)
    by_number = {trial.number: trial for trial in trials}
    standings = places(record, trials, decided(record, list(studies.values())))
    bests = [Best(space, by_number[one.trials[0]].optuna_params, one.mean) for one in standings]
    return Found(space, tuple(bests), tuple(trials)) if bests else None


def imagined(space: SearchSpace) -> Found:
    """What a stage might find, for whoever looks at a campaign before it runs: each of its options may win."""
    return Found(space, tuple(Best(space, one) for one in (first(space), *_each(space))))


def _each(space: SearchSpace) -> Iterator[Assignment]:
    """For each option of each choice an assignment that has it."""
    for key, form in space.search.items():
        for label in form.labels if isinstance(form, Choice) else ():
            labels: dict[str, list[Scalar]] = {key: [label]}
            chosen = first_allowed(space, labels)
            if chosen is not None:
                yield suggest(space, Given({**chosen, key: label}))
