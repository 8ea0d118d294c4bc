"""``sweep confirm``: further seeds of the best, then one look at the images held out."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import click

from results.confirmation import Order, judges, order, outcome, owed, winner
from results.heldout import Outcome
from results.records import StudyRecord, TrialRecord
from results.store import Store
from runner import scoring
from runner.protocol import DataPaths
from sweeps import confirmed, heldout
from sweeps.space.schema import Choice, IntRange, SearchSpace
from sweeps.study.further import Proposal
from sweeps.study.study import Study


class Confirmation(Protocol):
    """What is trained again, and what follows once it is."""

    def begin(self, study: Study) -> None:
        """Orders the seeds that are still to be trained, the same ones after an interruption."""

    def conclude(self, store: Store, space: SearchSpace, gpus: Sequence[str]) -> int:
        """Scores what is to be scored on the images held out; the exit code."""


@dataclass(frozen=True)
class Confirm:
    """What is confirmed, and how that is shown.

    Attributes:
        top: how many combinations of the ranking.
        seeds: further ones for each.
        form: ``table`` or ``json``.
    """

    top: int
    seeds: int
    form: str = "table"

    def begin(self, study: Study) -> None:
        """Orders the seeds that are still to be trained, the same ones after an interruption.

        Raises:
            ResultsError, UserError: nothing can be confirmed; the images held out are not those of the study.
        """
        give_seeds(study, self.top, self.seeds)

    def conclude(self, store: Store, space: SearchSpace, gpus: Sequence[str]) -> int:
        """Scores the winner and the baseline on the images held out, if that was not done yet, and prints all of it.

        Returns:
            The exit code.

        Raises:
            UserError, ResultsError: all checkpoints of one of them are gone, or one cannot be scored.
        """
        found, wanted, trials = ordered(store, space.study)
        best = winner(wanted, trials)
        held: Outcome | None = None
        data = DataPaths.model_validate(found.data)
        if data.holdout:
            names = dict.fromkeys([best.combination, wanted.baseline])
            look_at = [one for name in names for one in judges(wanted.entry(name), trials)]
            heldout.score(store, found, space.plugins, data.holdout, look_at, gpus)
            held = outcome(found.objective, wanted, best, trials, store.holdout(found.name))
        shown = confirmed.Confirmed(found, wanted, trials, best, held)
        if self.form == "json":
            click.echo(json.dumps(shown.document(), ensure_ascii=False, indent=2, allow_nan=False))
        else:
            confirmed.print_table(shown, sys.stdout)
        return 0


def give_seeds(study: Study, top: int, seeds: int, only: Sequence[str] = ()) -> None:
    """Orders what `results.confirmation.order` says, as far as it is still to be trained.

    Raises:
        ResultsError, UserError: nothing can be confirmed; the images held out are not those of the study.
    """
    name = study.record.name
    trials = study.store.trials(name)
    wanted = order(trials, top, seeds, _known(study.record), _highest_seed(study.space), only)
    if study.data.holdout:
        scoring.check(study.data.holdout)
    study.store.confirm(name, wanted.document())
    study.order(Proposal(trial.optuna_params, seed, trial.number) for trial, seed in owed(wanted, trials))


def ordered(store: Store, name: str) -> tuple[StudyRecord, Order, list[TrialRecord]]:
    """A study, what was ordered of it, and its trials."""
    found = store.study(name)
    assert found
    wanted = _known(found)
    assert wanted
    return found, wanted, store.trials(name)


def _highest_seed(space: SearchSpace) -> int:
    """That the space may propose; -1 where it searches none."""
    match space.search.get("seed"):
        case Choice(labels=labels):
            return max((label for label in labels if isinstance(label, int)), default=-1)
        case IntRange(high=high):
            return high
    return -1


def _known(record: StudyRecord) -> Order | None:
    return Order.read(record.confirmation) if record.confirmation else None
