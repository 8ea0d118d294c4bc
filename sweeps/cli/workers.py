"""``sweep workers``: who works, where, on what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source


@click.command(epilog="Example:  sweep workers --server https://server:8600")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def workers(form: str, source: Source, study: str | None) -> None:
    """List the workers: who, where, on what, training what."""
    from results.database.urls import named
    from runner.errors import UserError
    from sweeps.access import runfile
    from sweeps.show import print_table

    if source.server is None and runfile.read(source.storage) is None:
        raise UserError(f"nothing runs on {named(source.storage)}, so nobody works; start it with: sweep start SPACE")
    with source.owner() as owner:
        found = [one for one in owner.workers() if study in (None, one["study"])]
    if form == "json":
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    if not found:
        click.echo("no worker has asked for a trial yet")
        return
    head = ("worker", "owner", "host", "device", "seen", "trains")
    print_table(head, [[*(one[key] for key in head[:4]), _ago(one["seconds_ago"]), _doing(one)] for one in found])


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"


def _doing(one: dict[str, Any]) -> str:
    if one["trial"] is not None:
        return f"{one['study']} trial {one['trial']}"
    return "; ".join(f"cannot train {study}: {why}" for study, why in one["unable"].items()) or "-"
