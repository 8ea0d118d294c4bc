"""The right to write a study in a PostgreSQL database: held there, since its owners may be on any machine.

Two servers that write one study would hand out the same trials. (An SQLite file has a lock beside it.)
"""

from __future__ import annotations

import contextlib
import time

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from results.errors import ClaimedError

_EACH_SECONDS = 5.0  # how often the claim is looked at
# A machine that lost its power says no goodbye: the server looks after its connection by itself.
_ALIVE = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
_WAIT_SECONDS = 25.0  # until then the connection of a dead owner is found out


class Claim:
    """A lock on a study's name, kept by a connection of its own and taken again after that was cut.

    Args:
        engine: of the database.
        study: the name.
        shown: how messages call the database.

    Raises:
        ClaimedError: another process has it, and keeps it.
    """

    def __init__(self, engine: Engine, study: str, shown: str) -> None:
        self._engine, self._study, self._shown = engine, study, shown
        self._connection: Connection | None = None
        self._checked = -_EACH_SECONDS
        event.listen(engine, "connect", self._suspect)
        until = time.monotonic() + _WAIT_SECONDS
        while not self._take():
            if time.monotonic() >= until:
                self.release()
                raise ClaimedError(f"study {study} in {shown} is run by another server; end that one first")
            time.sleep(0.5)

    def check(self) -> None:
        """Before a write: makes sure, every few seconds and after any connection was made anew.

        Raises:
            ClaimedError: another process has taken the study meanwhile.
        """
        if time.monotonic() - self._checked < _EACH_SECONDS:
            return
        if not self._holds() and not self._take():
            raise ClaimedError(f"study {self._study} in {self._shown} was taken over by another server")
        self._checked = time.monotonic()

    def release(self) -> None:
        """Gives the study up."""
        event.remove(self._engine, "connect", self._suspect)
        self._drop()

    def _suspect(self, *_: object) -> None:
        self._checked = -_EACH_SECONDS

    def _holds(self) -> bool:
        """Whether the connection that took the lock is still there: the lock goes with it."""
        try:
            return self._connection is not None and self._connection.scalar(text("SELECT true")) is True
        except SQLAlchemyError:
            return False

    def _take(self) -> bool:
        self._drop()
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # the pool neither closes it nor hands it out
        try:
            connection.execute(text(_ALIVE))
            lock = text("SELECT pg_try_advisory_lock(hashtext('sweep_study'), hashtext(:name))")
            if connection.scalar(lock, {"name": self._study}) is True:
                self._connection = connection
        finally:
            if self._connection is None:
                connection.close()
        return self._connection is not None

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None
