"""``sweep confirm``: further seeds of the best, then one look at the images held out."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import click

from results.ranking.confirmation import Order, judges, outcome, settled, winner
from results.ranking.heldout import Outcome
from results.reader import Reader
from results.records import StudyRecord, TrialRecord
from runner import scoring
from runner.errors import INTERRUPTED, UserError
from runner.protocol import DataPaths, Plugin
from sweeps.access.remote import Remote
from sweeps.access.watch import watch
from sweeps.confirm import confirmed
from sweeps.confirm.heldout import Scorer, check_trusted, trained
from sweeps.server.confirmation import Asked
from sweeps.study.study import Study


class Confirmation(Protocol):
    """What is trained again, and what follows once it is."""

    @property
    def asked(self) -> Asked:
        """Which combinations get how many further seeds."""

    def conclude(self, scorer: Scorer, study: str, plugins: tuple[Plugin, ...]) -> int:
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

    @property
    def asked(self) -> Asked:
        """The best, and the baseline."""
        return Asked(top=self.top, seeds=self.seeds)

    def conclude(self, scorer: Scorer, study: str, plugins: tuple[Plugin, ...]) -> int:
        """Scores the winner and the baseline on the images held out, if that was not done yet, and prints all of it.

        Returns:
            The exit code.

        Raises:
            UserError, ResultsError: all checkpoints of one of them are gone, or one cannot be scored.
        """
        found, wanted, trials = ordered(scorer.reader, study)
        best = winner(wanted, trials)
        held: Outcome | None = None
        if DataPaths.model_validate(found.data).holdout:
            score(scorer, (found, wanted, trials), [best.combination, wanted.baseline], plugins)
            held = outcome(found.objective, wanted, best, trials, scorer.reader.holdout(found.name))
        shown = confirmed.Confirmed(found, wanted, trials, best, held)
        if self.form == "json":
            click.echo(json.dumps(shown.document(), ensure_ascii=False, indent=2, allow_nan=False))
        else:
            confirmed.print_table(shown, sys.stdout)
        return 0


def begin(study: Study, what: Confirmation) -> None:
    """Orders the seeds that are still to be trained, the same ones after an interruption.

    Raises:
        UserError: nothing can be confirmed; the images held out are not those of the study.
    """
    if study.data.holdout:
        scoring.check(study.data.holdout)
    study.confirm(what.asked.top, what.asked.seeds, what.asked.only)


def confirm_there(server: Remote, record: StudyRecord, what: Confirmation, gpus: tuple[str, ...]) -> int:
    """The same through a team's server, whose workers train; checkpoints are scored here, where the images lie.

    Returns:
        The exit code: 1 where the server does not go on.

    Raises:
        UserError: the server refuses it or is away for too long; the images held out are not here; the study needs
            code of its own to be scored, which does not travel from a server.
    """
    if DataPaths.model_validate(record.data).holdout:
        scorable(server, record)
    server.confirm(record.name, what.asked)

    def over() -> bool:
        _, wanted, trials = ordered(server, record.name)
        return settled(wanted, trials)

    try:
        state = watch(server, record.name, over)
    except KeyboardInterrupt:
        click.echo("\nthe server's workers train on; the same line goes on watching", err=True)
        return INTERRUPTED
    if not over():
        click.echo(f"study {record.name} is {state}: not all seeds are trained; the same line goes on", err=True)
        return 1
    return what.conclude(Scorer(server, "", gpus), record.name, ())


def scorable(server: Remote, record: StudyRecord) -> None:
    """Whether trials of a server's study can be scored here, before anything is trained for it.

    Raises:
        UserError: why not, in one line.
    """
    if plugins := record.identity.get("plugins"):
        raise UserError(
            f"study {record.name} brings code of its own ({', '.join(plugins)}), which is needed to score the images "
            "held out: confirm it where the database lies, while no server has it"
        )
    holdout = DataPaths.model_validate(record.data).holdout
    assert holdout
    if importlib.util.find_spec("mmdet") is None:
        raise UserError("images held out are scored here, which needs MMDetection; run it where workers could train")
    scoring.check(holdout)
    for trial in server.trials(record.name):
        if trial.state == "complete":
            check_trusted(trained(record, (), trial))


def ordered(reader: Reader | Remote, name: str) -> tuple[StudyRecord, Order, list[TrialRecord]]:
    """A study, what was ordered of it, and its trials."""
    found = reader.study(name)
    assert found
    assert found.confirmation
    return found, Order.read(found.confirmation), reader.trials(name)


def score(
    scorer: Scorer,
    study: tuple[StudyRecord, Order, list[TrialRecord]],
    combinations: Iterable[str],
    plugins: tuple[Plugin, ...],
) -> None:
    """Scores what judges these combinations (`results.ranking.confirmation.judges`) on the images held out.

    Raises:
        UserError, ResultsError: one cannot be scored.
    """
    record, wanted, trials = study
    names = dict.fromkeys(combinations)
    scorer.score(record, plugins, [one for name in names for one in judges(wanted.entry(name), trials)])
