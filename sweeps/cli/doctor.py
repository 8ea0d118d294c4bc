"""`sweep doctor`: what this machine has, and what is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click

from runner.doctor import NO_GPU, Check

DEFAULT_STORAGE = "sqlite:///sweeps.db"


@click.command(epilog="Example:  sweep doctor --storage sqlite:///team.db")
@click.option(
    "--storage",
    envvar="SWEEP_STORAGE",
    default=DEFAULT_STORAGE,
    show_default=True,
    help="The database to look at.",
)
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path),
    default=Path("work_dirs"),
    show_default=True,
    help="Where trainings will keep their files.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def doctor(context: click.Context, storage: str, work_dir: Path, form: str) -> None:
    """Look at this machine, and say what is wrong with it.

    Versions, compiled operations, GPUs, disk, database and memory. Exits with 1 if something is wrong.

    \b
    Example:
        sweep doctor --storage sqlite:///demo/sweeps.db
    """
    checks = list(examine(storage, work_dir))
    if form == "json":
        click.echo(as_json(checks))
    else:
        show(checks)
    if not all(each.ok for each in checks):
        context.exit(1)


def examine(storage: str, work_dir: Path) -> Iterator[Check]:
    """Look at everything; takes a few seconds, most of it the import of torch.

    Args:
        storage: URL of the database.
        work_dir: the folder of the trials; it need not exist.
    """
    import platformdirs

    from runner import doctor as machine

    yield from machine.versions()
    yield machine.opencv()
    gpus = machine.gpus()
    yield from gpus
    yield machine.cuda(present=sum(each.name != NO_GPU for each in gpus))
    yield from machine.ops()
    yield machine.disk("disk, trainings", work_dir, needed=5)
    yield machine.disk("disk, cache", platformdirs.user_cache_path("sweep"), needed=1)
    yield database(storage)
    yield from machine.machine()


def database(storage: str) -> Check:
    """Whether the database can be opened, is ours and can be written; one that does not exist yet is fine.

    Args:
        storage: its URL.
    """
    from results.database.urls import sqlite_file
    from results.errors import ResultsError
    from results.store import Store

    try:
        file = sqlite_file(storage)
        if file and not file.exists():
            return _new_database(file)
        with Store.open(storage, readonly=True) as store:
            studies = len(store.studies())
    except ResultsError as error:
        return Check("database", "cannot be used", str(error))
    found = f"{studies} {'study' if studies == 1 else 'studies'}"
    if file and not (os.access(file, os.W_OK) and os.access(file.absolute().parent, os.W_OK)):
        return Check("database", f"{found}, read-only", f"{file} or its folder is read-only: name another --storage")
    return Check("database", found)


def _new_database(file: Path) -> Check:
    folder = file.absolute().parent
    if not folder.is_dir():
        return Check("database", "not there yet", f"{folder} does not exist: make it, or name another --storage")
    if not os.access(folder, os.W_OK):
        return Check("database", "not there yet", f"{folder} is read-only: name another --storage")
    return Check("database", f"not there yet; the first sweep makes {file}")


def as_json(checks: list[Check]) -> str:
    """All checks as one JSON document: ``{"ok", "checks": [{"name", "found", "ok", "problem"}]}``."""
    rows = [{"name": each.name, "found": each.found, "ok": each.ok, "problem": each.problem} for each in checks]
    return json.dumps({"ok": all(each.ok for each in checks), "checks": rows}, indent=2, ensure_ascii=False)


def show(checks: list[Check]) -> None:
    """Print the checks as a table, and below it what is wrong and what to do."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    table = Table("", "what", "found", box=None, pad_edge=False)
    for each in checks:
        table.add_row("ok" if each.ok else "WRONG", each.name, each.found)
    console.print(table)
    wrong = [each for each in checks if not each.ok]
    console.print()
    for each in wrong:
        console.print(f"{each.name}: {each.problem}", soft_wrap=True)
    if not wrong:
        console.print("Nothing is wrong.")
