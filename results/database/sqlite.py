"""What SQLite needs to be told: transactions, its write-ahead log, opening for reading only."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from results.database.outage import left_of

READER_SECONDS = 60.0  # that who only reads waits for a lock
WRITER_SECONDS = 5.0  # that who writes does, and tries again (`results.database.outage`); in between Ctrl-C is heard
_AT_LEAST = 0.1  # who may not wait does so for a commit of this process
WRITES = "sweep_writes"  # execution option of an engine whose transactions write


def open_engine(url: URL, path: Path, readonly: bool) -> Engine:
    """An engine whose connections wait for a lock, keep foreign keys and begin transactions as told."""
    seconds = READER_SECONDS if readonly else WRITER_SECONDS
    found = create_engine(_readonly_url(url, path) if readonly else url, connect_args={"timeout": seconds})
    wait_for_locks(found, seconds)
    event.listen(found, "connect", _configure)
    event.listen(found, "begin", _begin)
    return found


def wait_for_locks(engine: Engine, seconds: float) -> None:
    """Let the engine's transactions wait so long for a lock, and no longer than their thread may wait."""

    def begin(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute(f"PRAGMA busy_timeout = {1000 * max(_AT_LEAST, left_of(seconds)):.0f}")

    event.listen(engine, "begin", begin)


def keep_log(engine: Engine) -> None:
    """Switch the database to its write-ahead log, so that readers never wait for the writer."""
    connection = engine.raw_connection()
    try:
        # A process that opens the database at the same moment switches it as well.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def begins(path: Path) -> bool:
    """Whether a file begins as SQLite's do, whatever follows."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\x00"
    return False


def _readonly_url(url: URL, path: Path) -> URL:
    """SQLite's URL of a file that is only read.

    A database with a write-ahead log needs two files beside it; where they are missing and cannot be made,
    nobody is writing it either, and SQLite can be told that it does not change.
    """
    file = f"file:{quote(str(path.absolute()))}"
    query = {"uri": "true", "mode": "ro"}
    try:
        with contextlib.closing(sqlite3.connect(f"{file}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT name FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:  # whatever else is wrong shows when the store opens it
        if isinstance(error, sqlite3.OperationalError) and not Path(f"{path}-wal").exists():
            query["immutable"] = "1"
    return url.set(database=file, query=query)


def _configure(connection: object, record: ConnectionPoolEntry) -> None:
    # Transactions are begun below, not by Python's module, which would leave table changes outside of them.
    connection.isolation_level = None  # type: ignore[attr-defined]
    connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[attr-defined]


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: one that first reads and then writes would be refused without a wait.
    mode = "IMMEDIATE" if connection.get_execution_options().get(WRITES) else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {mode}")


def relax(engine: Engine) -> None:
    """Let the engine's commits reach the disk with the next one that waits for it (ours do).

    For tables that are mended from ours at the next start. Nothing is lost when a process dies, only when the
    machine does; the log keeps its order, so that what is lost is always the newest.
    """
    event.listen(engine, "connect", _relaxed)
    engine.dispose()  # connections made before


def _relaxed(connection: object, record: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[attr-defined]
