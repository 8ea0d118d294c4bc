"""Databases' URLs: what they name, and as they are shown, without what nobody but the database is to know."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from results.errors import ResultsError

EXAMPLES = "sqlite:///sweeps.db or postgresql+psycopg://USER@HOST/DATABASE"
_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")


def parse(url: str) -> URL:
    """The URL of a database that can keep studies.

    Raises:
        ResultsError: it is none; one line says what to write.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise ResultsError(f"not a storage URL: {url!r}; write {EXAMPLES}") from error
    if backend not in ("sqlite", "postgresql"):
        raise ResultsError(f"storage of the kind {backend} is not supported; write {EXAMPLES}")
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        raise ResultsError("a storage in memory would be lost; name a file: sqlite:///sweeps.db")
    if backend == "sqlite" and parsed.database and parsed.database.startswith("file:"):
        raise ResultsError(f"name the file of the storage plainly: sqlite:///sweeps.db, not {url!r}")
    return parsed


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database as the URL names it; None for a database server.

    Raises:
        ResultsError: as for `parse`.
    """
    parsed = parse(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def named(url: str) -> str:
    """The URL for people: that there is a password, not which."""
    return _PASSWORD.sub(r"\1:***@", url)


def without_password(url: str) -> str:
    """The same, wherever its password is kept."""
    return _PASSWORD.sub(r"\1@", url)
