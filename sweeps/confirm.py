"""``sweep confirm``: further seeds of the best, then one look at the images held out."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from results.confirmation import Order, Outcome, judges, order, outcome, owed, winner
from results.records import HeldRecord, StudyRecord, TrialRecord, now
from results.store import Store
from runner import scoring
from runner.data.files import write_bytes
from runner.paths import TrialPaths
from runner.protocol import DataPaths, Holdout
from sweeps import confirmed
from sweeps.space.schema import Choice, IntRange, SearchSpace
from sweeps.study.further import Proposal
from sweeps.study.study import Study


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
        name = study.record.name
        trials = study.store.trials(name)
        wanted = order(trials, self.top, self.seeds, _known(study.record), _highest_seed(study.space))
        if study.data.holdout:
            scoring.check(study.data.holdout)
        study.store.confirm(name, wanted.document())
        study.order(Proposal(trial.optuna_params, seed, trial.number) for trial, seed in owed(wanted, trials))

    def conclude(self, store: Store, space: SearchSpace, gpus: Sequence[str]) -> int:
        """Scores the winner and the baseline on the images held out, if that was not done yet, and prints all of it.

        Returns:
            The exit code.

        Raises:
            UserError, ResultsError: all checkpoints of one of them are gone, or one cannot be scored.
        """
        found = store.study(space.study)
        assert found
        wanted, trials = _known(found), store.trials(space.study)
        assert wanted
        best = winner(wanted, trials)
        held: Outcome | None = None
        data = DataPaths.model_validate(found.data)
        if data.holdout:
            names = dict.fromkeys([best.combination, wanted.baseline])
            for trial in [one for name in names for one in judges(wanted.entry(name), trials)]:
                if trial.number not in store.holdout(found.name):
                    _score(store, found, space, data.holdout, trial, gpus)
            held = outcome(found.objective, wanted, best, trials, store.holdout(found.name))
        shown = confirmed.Confirmed(found, wanted, trials, best, held)
        if self.form == "json":
            click.echo(json.dumps(shown.document(), ensure_ascii=False, indent=2, allow_nan=False))
        else:
            confirmed.print_table(shown, sys.stdout)
        return 0


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


def _score(
    store: Store, record: StudyRecord, space: SearchSpace, holdout: Holdout, trial: TrialRecord, gpus: Sequence[str]
) -> None:
    """Scores a trial's checkpoint on the images held out and keeps that; one that is gone is told and left out."""
    paths = TrialPaths.of(record.work_dir, record.name, trial.number)
    checkpoint = paths.best if record.at == "best" else paths.last
    text = store.config(record.name, trial.number)
    if not checkpoint.is_file() or text is None:
        click.echo(f"trial {trial.number} is not scored: its checkpoint {checkpoint} is gone", err=True)
        return
    click.echo(f"trial {trial.number}: scoring {holdout.count} held-out images", err=True)
    folder = paths.folder / "holdout"
    config = folder / "config.py"
    write_bytes(config, text.encode())
    asked = scoring.Order(
        config=str(config), checkpoint=str(checkpoint), holdout=holdout, kind=record.objective.split("_", 1)[0],
        plugins=space.plugins,
    )  # fmt: skip
    environment = {"CUDA_VISIBLE_DEVICES": gpus[0] if gpus else "", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    found = scoring.score(asked, folder, environment)
    blob = base64.b64decode(found.evidence) if found.evidence else None
    store.add_holdout(record.name, trial.number, HeldRecord(dict(found.metrics), blob, now()))
