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
    from sweeps.source import Source


@click.command(epilog="Example:  sweep status --watch")
@click.option("--watch", is_flag=True, help="Show it again every two seconds until the study ends.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def status(watch: bool, form: str, source: Source, study: str | None) -> None:
    """Show how a study stands: trials by state, the best so far, workers, time left."""
    while True:
        document = current(source, study)
        if form == "json":
            click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            click.echo(table(document))
        if not watch or document["state"] != "running":
            return
        time.sleep(2)


def current(source: Source, study: str | None) -> dict[str, Any]:
    """The status document, from the running server if there is one, else from the database."""
    from results.store import Store
    from runner.errors import UserError
    from sweeps import runfile
    from sweeps.remote import Remote
    from sweeps.status import document

    with source.reader() as reader:
        record = options.choose_study(reader, study)
        if isinstance(reader, Remote):
            return reader.status(record.name)
    run = runfile.read(source.storage)
    if run and run.study in ("", record.name):
        # it may end between the two looks
        with contextlib.suppress(UserError), Remote(run.url, run.token, run.certificate or None) as owner:
            return owner.status(record.name)
    with Store.open(source.storage, readonly=True) as store:
        state = "stopped" if record.state == "running" else record.state
        found = document(store, record, state, [], None, record.reason)
        # nobody trains now: what ran when the owner was killed waits for the next start
        trials = found["trials"]
        return {**found, "trials": {**trials, "waiting": trials["waiting"] + trials["running"], "running": 0}}


def table(document: dict[str, Any]) -> str:
    """The document in a few aligned lines."""
    from sweeps.status import counted, shown

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
