"""Watching a study on a team's server, a line for every change."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from sweeps.access.remote import Remote
from sweeps.leases.status import counted, shown

PATIENCE = 600.0  # seconds for which a server may be away from whoever watches: a restart, a network that is cut
_POLL_SECONDS = 2.0


def watch(server: Remote, study: str, enough: Callable[[], bool] = lambda: False) -> str:
    """Prints a line for every change of a study until it runs no more; returns its state.

    Args:
        enough: asked after each change; once it says so, what runs on is of no interest.

    Raises:
        UserError: the server is away for longer than its patience, or refuses the question.
    """
    told = ""
    while True:
        document = server.status(study)
        counts = counted(document)
        best = document["best"]
        line = f"{counts or 'no trial yet'}; {len(document['workers'])} workers"
        line += f"; best {shown(best)}" if best else ""
        if line != told:
            click.echo(line, err=True)
            told = line
            if enough():
                return str(document["state"])
        if document["state"] != "running":
            return str(document["state"])
        time.sleep(_POLL_SECONDS)
