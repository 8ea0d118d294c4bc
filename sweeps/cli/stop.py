"""``sweep stop``: ends a running sweep, or a server, politely."""

from __future__ import annotations

import time

import click

from sweeps.cli import options

_WAIT_SECONDS = 20


@click.command(epilog="Example:  sweep stop && sweep rank")
@options.storage
@options.study
def stop(storage: str, study: str | None) -> None:
    """End the sweep or the server that runs on this database.

    Trials go on from their last epoch at the next start. A study of a team's server is halted with `sweep pause`.
    """
    from results.database.urls import named
    from results.ranking.stages import campaign_of
    from runner.errors import UserError
    from sweeps.access import runfile
    from sweeps.access.remote import Remote

    run = runfile.read(storage)
    if run is None or study not in (None, run.study, campaign_of(run.study)):  # a campaign's stage
        raise UserError(f"no sweep{f' of study {study}' if study else ''} runs on {named(storage)}")
    with Remote(run.url, run.token, run.certificate or None) as owner:
        owner.order("stop")
    what = f"study {run.study}" if run.study else "the server"
    for _ in range(_WAIT_SECONDS * 5):
        if runfile.read(storage) is None:
            click.echo(f"{what} stopped; go on with: sweep {'start SPACE' if run.study else 'serve'}")
            return
        time.sleep(0.2)
    raise UserError(f"{what} is still stopping (process {run.pid}); look again with: sweep status")
