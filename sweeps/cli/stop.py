"""``sweep stop``: ends a running sweep politely."""

from __future__ import annotations

import time

import click

from sweeps.cli import options

_WAIT_SECONDS = 20


@click.command(epilog="Example:  sweep stop && sweep rank")
@options.storage
@options.study
def stop(storage: str, study: str | None) -> None:
    """End the running sweep: trials are handed back and go on from their last epoch at the next start."""
    import httpx

    from runner.client import Client
    from runner.errors import UserError
    from sweeps import runfile

    run = runfile.read(storage)
    if run is None or study not in (None, run.study):
        raise UserError(f"no sweep{f' of study {study}' if study else ''} runs on {storage}")
    try:
        with Client(run.url, run.token) as client:
            client.stop()
    except httpx.HTTPError as error:
        raise UserError(f"the sweep of study {run.study} (process {run.pid}) does not answer: {error}") from error
    for _ in range(_WAIT_SECONDS * 5):
        if runfile.read(storage) is None:
            click.echo(f"study {run.study} stopped; go on with: sweep start SPACE")
            return
        time.sleep(0.2)
    raise UserError(f"study {run.study} is still stopping (process {run.pid}); look again with: sweep status")
