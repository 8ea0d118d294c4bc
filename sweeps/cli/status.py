"""``sweep status``: what runs, what is done."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from results.reader import Reader
    from sweeps.access.remote import Remote
    from sweeps.access.source import Source


@click.command(epilog="Example:  sweep status --watch")
@click.option("--watch", is_flag=True, help="Show it again every two seconds until the study ends.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def status(watch: bool, form: str, source: Source, study: str | None) -> None:
    """Show how a study stands: trials, best, workers, time left."""
    from sweeps.access.watch import PATIENCE

    with source.reader(PATIENCE if watch else 0.0) as reader:
        _show(source, reader, options.choose_study(reader, study).name, watch, form)


def _show(source: Source, reader: Reader | Remote, study: str, watch: bool, form: str) -> None:
    while True:
        document = current(source, reader, study)
        if form == "json":
            click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            click.echo(table(document))
        if not watch or document["state"] != "running":
            return
        time.sleep(2)


def current(source: Source, reader: Reader | Remote, study: str) -> dict[str, Any]:
    """The status document, from the running server if there is one, else from the database."""
    from runner.errors import UserError
    from sweeps.access import runfile
    from sweeps.access.remote import Remote
    from sweeps.leases.status import document

    if isinstance(reader, Remote):
        return reader.status(study)
    run = runfile.read(source.storage)
    if run and run.study in ("", study):
        # it may end between the two looks
        with contextlib.suppress(UserError), Remote(run.url, run.token, run.certificate or None) as owner:
            return owner.status(study)
    record = options.choose_study(reader, study)
    state = "stopped" if record.state == "running" else record.state
    found = document(reader, record, state, [], None, record.reason)
    # nobody trains now: what ran when the owner was killed waits for the next start
    trials = found["trials"]
    return {**found, "trials": {**trials, "waiting": trials["waiting"] + trials["running"], "running": 0}}


def table(document: dict[str, Any]) -> str:
    """The document in a few aligned lines."""
    from sweeps.leases.status import counted, shown

    counts = counted(document)
    lines = [f"study    {document['study']}: {document['state']}", f"trials   {counts or 'none yet'}"]
    if document["reason"]:
        lines.append(f"why      {document['reason']}")
    if best := document["best"]:
        parts = " ".join(str(best[part]) for part in ("model", "backbone", "optimizer") if best[part])
        lines.append(f"best     {shown(best)}  {parts}")
    for worker in document["workers"]:
        doing = "idle" if worker["trial"] is None else f"trial {worker['trial']}"
        lines.append(f"worker   {worker['worker']} ({worker['owner']}, {worker['device']}): {doing}")
    if document["eta_seconds"]:
        lines.append(f"left     about {max(1, round(document['eta_seconds'] / 60))} min")
    if document["state"] == "stopped":
        lines.append("go on    sweep start SPACE, as before")
    return "\n".join(lines)
