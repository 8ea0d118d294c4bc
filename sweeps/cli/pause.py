"""``sweep pause`` and ``sweep resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source


@click.command(epilog="Example:  sweep pause --study models")
@options.source
def pause(source: Source, study: str | None) -> None:
    """Let no new trial of a study begin.

    What trains goes on to its end.
    """
    name = _order(source, study, "pause")
    click.echo(f"study {name} is paused; go on with: sweep resume --study {name}{source.option}")


@click.command(epilog="Example:  sweep resume --study models")
@options.source
def resume(source: Source, study: str | None) -> None:
    """Let trials of a paused study begin again."""
    name = _order(source, study, "resume")
    click.echo(f"study {name} goes on")


def _order(source: Source, study: str | None, what: str) -> str:
    with source.owner(study) as owner:
        record = options.choose_study(owner, study)
        owner.order(f"studies/{record.name}/{what}")
    return record.name
