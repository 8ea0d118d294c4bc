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
    """Check SPACE without training: one line a mistake, as file:line:column, and what to write instead."""
    from runner.machine import gpus
    from sweeps.session import load_space
    from sweeps.space import walk
    from sweeps.space.problems import SpaceErrors

    try:
        space, _ = load_space(space_file, overrides, data, scale, len(gpus()))
    except SpaceErrors as error:
        if form == "json":
            errors = [asdict(problem) for problem in error.problems]
            click.echo(json.dumps({"ok": False, "errors": errors}, ensure_ascii=False))
        else:
            click.echo(error, err=True)
        return 1
    if form == "json":
        click.echo(json.dumps({"ok": True, "errors": [], "notes": list(space.notes)}, ensure_ascii=False))
        return 0
    for note in space.notes:
        click.echo(note, err=True)
    number, (_, trials) = walk.count(space, seeds=False), walk.planned(space)
    many = "infinitely many combinations" if number is None else _counted(number, "combination")
    begun = "trials until the budget is spent" if trials is None else _counted(trials, "trial")
    click.echo(f"{space_file}: ok: study {space.study}, {many}, {begun}")
    return 0


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"
