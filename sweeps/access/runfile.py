"""Who owns a database right now: a lock that ends with its process, and how to reach it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock
import platformdirs

from results.database.urls import sqlite_file, without_password
from runner.errors import UserError
from runner.protocol import digest


@dataclass(frozen=True)
class RunFile:
    """How to reach the process that owns the database; the file is readable by its user alone.

    Attributes:
        study: the one that it runs, empty for a server of many.
        certificate: PEM file of a server that speaks TLS, whatever name it is made out to; empty for none.
    """

    url: str
    token: str
    pid: int
    study: str
    certificate: str = ""


def beside(storage: str, suffix: str) -> Path:
    """Beside an SQLite file; for a database server in the user's state folder, wherever its password is kept.

    However an SQLite file is named, by a link or with options of the driver, it is beside the file itself: one
    database has one owner.

    Raises:
        ResultsError: not the URL of a database.
    """
    if file := sqlite_file(storage):
        path = file.resolve()
        return path.with_name(path.name + suffix)
    folder = platformdirs.user_state_path("sweep", ensure_exists=True)
    return folder / (digest(without_password(storage))[:16] + suffix)


def own(storage: str) -> filelock.BaseFileLock | None:
    """Takes the database's lock, or returns None if another process has it.

    Raises:
        UserError: the folder is not there or can't be written to.
    """
    path = beside(storage, ".lock")
    lock = filelock.FileLock(path, timeout=1)  # `read` holds it for a moment
    if not path.parent.is_dir():  # the lock would make it: a mistyped folder would begin another database
        raise UserError(f"{path.parent}: no such folder; name another database with --storage sqlite:///PATH")
    try:
        lock.acquire()
    except filelock.Timeout:
        return None
    except OSError as error:
        raise UserError(f"{path.parent}: not writable; name another database with --storage sqlite:///PATH") from error
    return lock


def write(storage: str, run: RunFile) -> None:
    """Says how to reach this process (mode 0600); who reads it meanwhile finds the file of before."""
    path, new = beside(storage, ".run"), beside(storage, ".run.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(run), file)
    new.replace(path)


def read(storage: str) -> RunFile | None:
    """The owner's run file, or None where no process owns the database."""
    path = beside(storage, ".run")
    try:
        run = RunFile(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # half written, or not ours
        return None
    except PermissionError as error:
        raise UserError(f"{path}: another user's sweep owns this database") from error
    lock_path = beside(storage, ".lock")
    try:
        with filelock.FileLock(lock_path, timeout=0):
            return None  # nobody holds it: the owner died without tidying up
    except filelock.Timeout:
        return run
    except OSError:
        return None


def remove(storage: str) -> None:
    """Forgets the run; the lock goes with its holder."""
    beside(storage, ".run").unlink(missing_ok=True)
