"""The right to write studies of a PostgreSQL database: held there, since their owners may be on any machine.

Two servers that write one study would hand out the same trials. (An SQLite file has a lock beside it.)
"""

from __future__ import annotations

import contextlib
import threading
import time

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from results.errors import ClaimedError

_EACH_SECONDS = 5.0  # how often the claims are looked at
# A machine that lost its power says no goodbye: the server looks after its connection by itself.
_ALIVE = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
_WAIT_SECONDS = 25.0  # until then the connection of a dead owner is found out


class Claims:
    """Locks on studies' names, kept by one connection of their own and taken again after that was cut.

    Any thread may call it.

    Args:
        engine: whose connections write the database.
        shown: how messages call the database.
    """

    def __init__(self, engine: Engine, shown: str) -> None:
        self._own = create_engine(engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._shown = shown
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._wanted: set[str] = set()
        self._held: set[str] = set()
        self._foreign: set[str] = set()  # another process had them since they were taken
        self._looked = -_EACH_SECONDS
        self._made = self._seen = 0  # connections that write: ever, and when it was looked last
        event.listen(engine, "connect", self._suspect)

    def take(self, study: str) -> None:
        """Takes a study, until `release`; one that was lost must be read anew then.

        Raises:
            ClaimedError: another process has it, and keeps it.
        """
        if study in self._wanted - self._foreign:
            return
        known = study in self._wanted
        self._wanted.add(study)
        until = time.monotonic() + _WAIT_SECONDS
        try:
            self._look()
            while study not in self._held:
                if time.monotonic() >= until:
                    raise ClaimedError(f"study {study} in {self._shown} is run by another server; end that one first")
                time.sleep(0.5)
                self._look()
        except BaseException:
            if not known:  # else it stays lost
                self._wanted.discard(study)
            raise
        self._foreign.discard(study)

    def check(self, study: str) -> None:
        """To be called when a connection to write a study is open: makes sure that it is still ours, if it ever was.

        Raises:
            ClaimedError: another process has taken it meanwhile.
        """
        if study in self._wanted:
            self.keep()
            if study not in self._held or study in self._foreign:
                raise ClaimedError(f"study {study} in {self._shown} was taken over by another server")

    def keep(self) -> set[str]:
        """Every few seconds, and after any connection was made anew: takes again what was lost and is free.

        Returns:
            Studies that another process has had meanwhile: `take` them before they are written again.
        """
        if self._seen != self._made or time.monotonic() - self._looked >= _EACH_SECONDS:
            self._look()
        return self._held & self._foreign

    def release(self) -> None:
        """Gives all studies up."""
        self._wanted.clear()
        self._drop()

    def _suspect(self, *_: object) -> None:
        self._made += 1

    def _look(self) -> None:
        """Looks whether the connection that took the locks is there, for they go with it; takes those not held."""
        with self._lock:
            made, moment = self._made, time.monotonic()
            try:
                held = self._held if self._is_there() else self._connect()
                held = held | {study for study in self._wanted - held if self._is_free(study)}
            except BaseException:
                self._drop()
                raise
            self._foreign |= self._held - held
            self._held = held
            self._seen, self._looked = made, moment

    def _is_there(self) -> bool:
        try:
            return self._connection is not None and self._connection.scalar(text("SELECT true")) is True
        except SQLAlchemyError:
            return False

    def _connect(self) -> set[str]:
        """A new connection; what it holds: nothing."""
        self._drop()
        self._connection = self._own.connect()
        self._connection.execute(text(_ALIVE))
        return set()

    def _is_free(self, study: str) -> bool:
        """Whether nobody else has the lock; it is ours then."""
        assert self._connection
        lock = text("SELECT pg_try_advisory_lock(hashtext('sweep_study'), hashtext(:name))")
        return self._connection.scalar(lock, {"name": study}) is True

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None
