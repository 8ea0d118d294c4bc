"""A database has one process that may change it: being that one, or following what it does."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import click

from results.database.urls import named
from results.errors import NotFoundError
from results.store import Store
from runner.errors import UserError
from sweeps.access import runfile
from sweeps.access.remote import Remote
from sweeps.leases.status import counted


@contextlib.contextmanager
def owning(storage: str, work_dir: Path) -> Iterator[Store | None]:
    """The store of a database that is ours until the block ends; None where another process has it.

    Raises:
        UserError, ResultsError: it cannot be written, or the folder of the trainings cannot.
    """
    lock = runfile.own(storage)
    if lock is None:
        yield None
        return
    try:
        check_writable(work_dir)
        with Store.open(storage) as store:
            yield store
    finally:
        runfile.remove(storage)
        lock.release()


def owner(storage: str, studies: Collection[str]) -> runfile.RunFile:
    """The run of the process that has the database, which must be of one of these studies.

    Raises:
        UserError: it is of another one, or of none, or does not tell.
    """
    run = None
    for _ in range(20):  # it may have just begun
        run = runfile.read(storage)
        if run:
            break
        time.sleep(0.25)
    if run is None:
        raise UserError(f"the database {named(storage)} is in use by another process; try again in a moment")
    if not run.study:
        raise UserError(
            f"the database {named(storage)} is in use: a server (process {run.pid}) has it; "
            f"hand the study to that with: sweep start SPACE --server {run.url}"
        )
    if run.study not in studies:
        raise UserError(
            f"the database {named(storage)} is in use: process {run.pid} runs study {run.study}; "
            "wait, end it with `sweep stop`, or name another database with --storage"
        )
    return run


def follow(storage: str, run: runfile.RunFile) -> None:
    """Prints a line whenever the number of trials in a state changes, until the run ends.

    That it has ended the run file says: a process that gives no answer may be busy, or wait for its database.
    """
    told = ""
    with Remote(run.url, run.token, run.certificate or None) as server:
        while runfile.read(storage) == run:
            with contextlib.suppress(UserError, NotFoundError):
                counts = counted(server.status(run.study))
                if counts != told:
                    click.echo(counts, err=True)
                    told = counts
            time.sleep(1)


def check_writable(work_dir: Path) -> None:
    """Raises UserError where trainings cannot write in this folder."""
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        probe = work_dir / f".sweep-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{work_dir}: {(error.strerror or str(error)).lower()}; name another folder with --work-dir"
        ) from error
