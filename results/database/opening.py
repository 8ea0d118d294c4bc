"""Opening a database, and turning what goes wrong with it into one clear line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from results.database import outage, schema, sqlite
from results.database.claim import Claims
from results.database.urls import named, parse, sqlite_file
from results.errors import ResultsError

CONNECT_SECONDS = 5  # for a connection to a database's server


class Database:
    """An engine with one session for reading and one for writing; both are short and commit at their end.

    Attributes:
        shown: how messages call the database: the file as it was named, or the URL without its password.
    """

    def __init__(self, url: str, readonly: bool = False) -> None:
        """Open the database; see `Store.open` for what is raised."""
        parsed = parse(url)
        self.readonly = readonly
        self.path = sqlite_file(url)
        self.shown = str(self.path) if self.path else named(url)
        if readonly and self.path and not self.path.exists():
            raise ResultsError(
                f"no sweep has run here yet: {self.shown} does not exist; start one with: sweep start SPACE"
            )
        self._engine = self._create(parsed)
        self._writer = self._engine.execution_options(**{sqlite.WRITES: True})
        self._claims = Claims(self._engine, self.shown) if self.path is None else None
        try:
            outage.insist(0.0 if readonly else outage.PATIENCE, self._prepare, outage.interrupted)
        except BaseException:
            self.close()
            raise

    def _create(self, url: URL) -> Engine:
        try:
            if self.path is None:
                args = {"options": "-c default_transaction_read_only=on"} if self.readonly else {}
                return create_engine(_hasty(url), connect_args=args, pool_pre_ping=True)
            return sqlite.open_engine(url, self.path, self.readonly)
        except (ImportError, NoSuchModuleError) as error:
            package = getattr(error, "name", None) or url.get_driver_name()
            raise ResultsError(
                f"the storage {self.shown} needs the Python package {package}: pip install {package}"
            ) from error

    def _prepare(self) -> None:
        if self.readonly:
            with self._session(self._engine) as session:
                schema.require(session.connection(), self.shown)
            return
        with self._session(self._writer) as session:
            schema.upgrade(session.connection(), self.shown)
        if self.path:  # only now: another program's database stays as it was
            sqlite.keep_log(self._engine)

    def read(self) -> contextlib.AbstractContextManager[Session]:
        """A session for reading: one consistent view, never waits for a writer."""
        return self._session(self._engine)

    @contextlib.contextmanager
    def write(self, study: str | None = None) -> Iterator[Session]:
        """A session that commits at its end, or changes nothing if an exception leaves it.

        Args:
            study: the one that is written; None where it is none of them.

        Raises:
            ClaimedError: another process has taken the study that was claimed here.
        """
        if self.readonly:
            raise ResultsError(f"{self.shown} was opened for reading only")
        with self._session(self._writer) as session:
            if self._claims and study is not None:
                session.connection()  # a new one shows that the claims may be lost
                self._claims.check(study)
            yield session

    def claim(self, study: str) -> None:
        """Take the right to write a study, where the database's server keeps it; `close` gives it up.

        Raises:
            ResultsError: another process has it.
        """
        if self._claims:
            with self.guard():
                self._claims.take(study)

    def keep_claims(self) -> set[str]:
        """See `results.store.Store.keep_claims`."""
        if not self._claims:
            with self.write() as session:  # nobody can take a study of a file, but another program may have it locked
                session.connection()
            return set()
        with self.guard():
            return self._claims.keep()

    @contextlib.contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        with self.guard(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Turns what a database reports, to us or to another library, into a `ResultsError` of one line."""
        try:
            yield
        except ResultsError:
            raise
        except Exception as error:
            cause = outage.database_error(error)
            if cause is None:
                raise
            if not isinstance(cause, DBAPIError):
                raise ResultsError(f"{self.shown}: {_first_line(cause)}") from error
            kind = outage.AwayError if outage.away(cause) else ResultsError
            raise kind(self._explain(cause)) from error

    def _explain(self, error: DBAPIError) -> str:
        """One line for what the driver reported."""
        line = _first_line(error.orig or error)
        if self.path is None:
            verb = "cannot reach" if isinstance(error, OperationalError) else "cannot use"
            return f"{verb} the database {self.shown}: {line}"
        folder = self.path.absolute().parent
        if self.path.is_dir():
            return f"{self.shown} is a folder; name a file, such as --storage sqlite:///{self.path / 'sweeps.db'}"
        if "malformed" in line or ("not a database" in line and sqlite.begins(self.path)):
            return f"{self.shown} is damaged ({line}); put a copy of it in its place, or name another --storage"
        if "not a database" in line:
            return f"{self.shown} is not an SQLite database ({line}); name another --storage"
        if not folder.is_dir():
            return f"cannot create {self.shown}: the folder {folder} does not exist"
        if "readonly" in line or "unable to open" in line:
            what = "read" if self.readonly else "write"
            which = f"the file or its folder {folder} is read-only"
            return f"cannot {what} {self.shown}: {which}; name another --storage"
        if "locked" in line:
            return f"another program has {self.shown} locked; close it, or let it save or undo what it changes there"
        if "full" in line:
            return f"cannot write {self.shown}: the disk is full; make room and start again"
        return f"cannot use {self.shown}: {line}"

    def close(self) -> None:
        """Close every connection."""
        if self._claims:
            self._claims.release()
        self._engine.dispose()


def _hasty(url: URL) -> URL:
    """A machine that answers nothing is given up soon, unless the URL says when."""
    return url if "connect_timeout" in url.query else url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
