"""``sweep trials``: one trial in full, tried again, or ended."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from results.ranking import tried
from results.records import AttemptRecord, EpochRecord, StudyRecord, TrialRecord
from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source


@click.group(epilog="Example:  sweep trials show 3")
def trials() -> None:
    """Look at one trial, try it again, or end it."""


@trials.command(epilog="Example:  sweep trials show 3")
@click.argument("number", metavar="N", type=click.IntRange(0))
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def show(number: int, form: str, source: Source, study: str | None) -> None:
    """Show trial N: what it trains, its epochs, its attempts.

    Who had it when, and how each attempt ended.
    """
    from results.errors import NotFoundError
    from sweeps.show import print_table

    with source.reader() as reader:
        record = options.choose_study(reader, study)
        trial = reader.trial(record.name, number)
        if trial is None:
            raise NotFoundError(f"study {record.name} has no trial {number}")
        epochs, attempts = reader.epochs(record.name, number), reader.attempts(record.name, number)
    if form == "json":
        found = {"trial": trial, "epochs": epochs, "attempts": attempts}
        plain = {key: _plain(value) for key, value in found.items()}
        click.echo(json.dumps(plain, ensure_ascii=False, default=str, allow_nan=False))
        return
    for line in _lines(record, trial):
        click.echo(line)
    if epochs:
        click.echo()
        print_table(("epoch", record.objective, "seconds"), [_epoch(one) for one in epochs])
    if attempts:
        click.echo()
        print_table(
            ("attempt", "worker", "owner", "device", "epochs", "began", "ended by"), list(map(_attempt, attempts))
        )


@trials.command(epilog="Example:  sweep trials retry 3")
@click.argument("number", metavar="N", type=click.IntRange(0))
@options.source
def retry(number: int, source: Source, study: str | None) -> None:
    """Try trial N again, which ended without a score.

    It failed, was infeasible, pruned or cancelled; it goes on where it can.
    """
    name = _order(source, study, number, "retry")
    click.echo(f"trial {number} of study {name} waits for a worker; without one: sweep start SPACE, as before")


@trials.command(epilog="Example:  sweep trials cancel 3")
@click.argument("number", metavar="N", type=click.IntRange(0))
@options.source
def cancel(number: int, source: Source, study: str | None) -> None:
    """End trial N, which waits or trains; it counts as failed."""
    name = _order(source, study, number, "cancel")
    click.echo(f"trial {number} of study {name} is cancelled")


def _order(source: Source, study: str | None, number: int, what: str) -> str:
    with source.owner(study) as owner:
        record = options.choose_study(owner, study)
        owner.order(f"studies/{record.name}/trials/{number}/{what}")
    return record.name


def _lines(record: StudyRecord, trial: TrialRecord) -> list[str]:
    score = "none" if trial.score is None else f"{trial.score:.10f}"
    lines = [
        f"study        {record.name}",
        f"trial        {trial.number}, combination {trial.combination}, seed {trial.seed}",
        f"state        {trial.state}" + (f" ({trial.failure}): {trial.reason}" if trial.failure else ""),
        f"{record.objective:<12} {score}",
    ]
    if trial.reason and not trial.failure:
        lines.append(f"reason       {trial.reason}")
    proposed, settings = trial.parts["settings"], trial.trained["settings"]
    if trial.adjusted:
        changed = [f"{key} {value} (proposed: {proposed.get(key)})" for key, value in trial.adjusted.items()]
        lines.append("adjusted     " + ", ".join(changed))
    lines += [f"{part:<12} {name}" for part in tried.PARTS if (name := tried.part_name(trial, part))]
    lines += [f"  {name} {tried.show(value)}" for name, value in trial.params.items() if value is not None]
    lines.append("settings     " + ", ".join(f"{k} {tried.show(v)}" for k, v in settings.items() if v is not None))
    return lines


def _epoch(one: EpochRecord) -> list[str]:
    return [str(one.epoch), "-" if one.score is None else f"{one.score:.10f}", f"{one.seconds:.0f}"]


def _attempt(one: AttemptRecord) -> list[str]:
    epochs = "-" if one.last_epoch is None else f"{one.first_epoch}-{one.last_epoch}"
    end = "runs" if one.ended_at is None else f"{one.end}: {one.reason}" if one.reason else str(one.end)
    began = one.started_at.astimezone().strftime("%m-%d %H:%M:%S")
    return [str(one.fence), one.worker, one.owner, one.device, epochs, began, end]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [dataclasses.asdict(one) for one in value]
    return dataclasses.asdict(value)
