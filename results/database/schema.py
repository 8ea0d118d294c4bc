"""Which layout a database has, and bringing it up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from results.errors import ResultsError

VERSION_TABLE = "sweep_alembic_version"  # Optuna's own is alembic_version, in the same database
# every layout this version knows, oldest first
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
OPTUNA_TABLES = frozenset({"studies", "trials", "version_info"})


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Whether alembic may look at a table: Optuna's must be neither compared nor dropped."""
    return kind != "table" or (name or "").startswith("sweep_")


def revision(connection: Connection, shown: str) -> str | None:
    """The layout of our tables, None where there are none yet.

    Args:
        connection: to the database.
        shown: how messages call the database.

    Raises:
        ResultsError: the tables are another program's, or of a layout newer than this version.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        if tables and not tables >= OPTUNA_TABLES:
            some = ", ".join(sorted(tables)[:2])
            raise ResultsError(f"{shown} belongs to another program (it has the tables {some}); name another --storage")
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    if found is not None and found not in REVISIONS:
        raise ResultsError(
            f"{shown} was written by a newer version of sweep (layout {found}, not {REVISIONS[-1]}); "
            "update sweep or name another --storage"
        )
    return found


def require(connection: Connection, shown: str) -> None:
    """Check that the database can be read as it is.

    Raises:
        ResultsError: no sweep has run here, or the layout is another one.
    """
    found = revision(connection, shown)
    if found is None:
        raise ResultsError(f"no sweep has run here yet: {shown} holds no sweep; start one with: sweep start SPACE")
    if found != REVISIONS[-1]:
        raise ResultsError(
            f"{shown} has the layout {found} of an older version of sweep; any command that writes brings "
            f"it to {REVISIONS[-1]}: sweep start SPACE"
        )


def upgrade(connection: Connection, shown: str) -> None:
    """Bring our tables to the newest layout, inside the connection's transaction; does nothing if they are.

    Raises:
        ResultsError: as for `revision`.
    """
    if connection.dialect.name == "postgresql":  # SQLite's transaction holds the write lock already
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('sweep_schema'))"))
    if revision(connection, shown) == REVISIONS[-1]:
        # Changes nothing, but fails now where writing is not allowed, instead of after the first training.
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = version_num"))
        return
    # Imported here: reading commands never need alembic, and start faster without it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
