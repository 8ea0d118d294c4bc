"""``sweep check``: every mistake in a space at once."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from sweeps.cli import options


@click.command(epilog="Example:  sweep check my_space.yaml --data my_data.yaml --set fixed.epochs=8")
@options.space
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(space_file: Path, data: Path | None, scale: str | None, overrides: tuple[str, ...], form: str) -> int:
    """Check SPACE and its data file without training.

    One line a mistake, as file:line:column, and what to write instead. Labels and images: see sweep data check.
    """
    from sweeps.campaign.document import is_campaign
    from sweeps.space.problems import SpaceErrors

    look = _campaign if is_campaign(space_file) else _space
    try:
        notes, said = look(space_file, overrides, data, scale)
    except SpaceErrors as error:
        if form == "json":
            errors = [asdict(problem) for problem in error.problems]
            click.echo(json.dumps({"ok": False, "errors": errors}, ensure_ascii=False))
        else:
            click.echo(error, err=True)
        return 1
    if form == "json":
        click.echo(json.dumps({"ok": True, "errors": [], "notes": notes}, ensure_ascii=False))
        return 0
    for note in notes:
        click.echo(note, err=True)
    click.echo(f"{space_file}: ok: {said}")
    return 0


def _space(path: Path, overrides: tuple[str, ...], data: Path | None, scale: str | None) -> tuple[list[str], str]:
    """Notes on a space, and what it holds."""
    from runner.machine import gpus
    from sweeps.space import walk
    from sweeps.study.setup import load_space

    space, _ = load_space(path, overrides, data, scale, len(gpus()))
    number, (_, trials) = walk.count(space, seeds=False), walk.planned(space)
    many = "infinitely many combinations" if number is None else _counted(number, "combination")
    return list(space.notes), f"study {space.study}, {many}, {_begun(trials)}"


def _campaign(path: Path, overrides: tuple[str, ...], data: Path | None, scale: str | None) -> tuple[list[str], str]:
    """The same of a campaign, whichever combinations its stages find."""
    from runner.machine import gpus
    from sweeps.campaign.document import read_campaign
    from sweeps.campaign.stages import Options, look_ahead
    from sweeps.space import walk

    campaign, problems = read_campaign(path, overrides)
    spaces = look_ahead(campaign, problems, Options(data, scale, len(gpus())))
    notes = [f"{stage}: {note}" for stage, space in zip(campaign.stages, spaces, strict=True) for note in space.notes]
    numbers = [walk.planned(space)[1] for space in spaces]
    trials = None if None in numbers else sum(number for number in numbers if number is not None)
    return notes, f"campaign {campaign.name}, {_counted(len(spaces), 'stage')}, {_begun(trials)}"


def _begun(trials: int | None) -> str:
    return "trials until the budget is spent" if trials is None else _counted(trials, "trial")


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"
