"""A database that is away for a moment: a restart, a cut connection, a file that another program has locked.

Told from other errors, and waited out.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import tenacity
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from results.errors import ResultsError

PATIENCE = 60.0  # seconds
_ROUND_SECONDS = 5.0  # of what is done again anyway: between two rounds Ctrl-C is heard
# PostgreSQL's words for it: shut down, crashed, starting; connection broken; too many connections; transactions that
# stood in each other's way and may be repeated.
_STATES = ("57P01", "57P02", "57P03", "08", "53300", "40001", "40P01")
_until: ContextVar[float] = ContextVar("_until", default=math.inf)  # moment of the monotonic clock


class AwayError(ResultsError):
    """The database cannot be reached just now; the same again may succeed in a moment."""


class Notice:
    """Tells people once that the database is away, and once that it is back.

    Args:
        tell: takes one line.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._away = tell, False

    @contextlib.contextmanager
    def of_trouble(self) -> Iterator[None]:
        """Around what is done again and again: while the database is away it waits but shortly, and ends early."""
        try:
            with waiting_at_most(_ROUND_SECONDS):
                yield
        except AwayError as error:
            if not self._away:
                self._tell(f"{error}; going on when it is back")
            self._away = True
        else:
            if self._away:
                self._tell("the database is back")
            self._away = False


class Patient(Protocol):
    """Something with a limit to how long it waits for its database."""

    @property
    def patience(self) -> float:
        """Seconds; 0 never waits."""


P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound=Patient)


def database_error(error: BaseException | None) -> SQLAlchemyError | None:
    """What the database reported, in the error or in what caused it; None if it is about something else."""
    while error is not None and not isinstance(error, SQLAlchemyError):
        error = error.__cause__ or error.__context__
    return error


def away(error: BaseException) -> bool:
    """Whether the error says that the database is away; SQLite's file is while another program has it locked."""
    if isinstance(error, AwayError):
        return True
    found = None if isinstance(error, ResultsError) else database_error(error)
    if not isinstance(found, DBAPIError):
        return False
    state = getattr(found.orig, "sqlstate", None)
    return _locked(found) or found.connection_invalidated or (state or "").startswith(_STATES) or _unreachable(found)


def interrupted(error: BaseException) -> bool:
    """Whether the database is away although it can be reached: cut off in the middle, just starting, or locked.

    A server that was never there is rather a mistake in the URL.
    """
    found = database_error(error)
    if not isinstance(found, DBAPIError) or not away(found):
        return False
    return _locked(found) or found.connection_invalidated or "the database system is" in str(found.orig)


def _locked(error: DBAPIError) -> bool:
    code: int = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the other bits say more about it


def _unreachable(error: DBAPIError) -> bool:
    """psycopg gives no code where it found no server, or one that hung up."""
    driver = error.orig
    nameless = getattr(driver, "sqlstate", "") is None
    return nameless and any(kind.__name__ == "OperationalError" for kind in type(driver).__mro__)


@contextlib.contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Within it all waits of this thread together take no longer, whatever the patience."""
    token = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def left_of(seconds: float) -> float:
    """How much of so many seconds this thread may wait just now (`waiting_at_most`)."""
    return max(0.0, min(seconds, _until.get() - time.monotonic()))


def insist(patience: float, action: Callable[[], T], while_: Callable[[BaseException], bool] = away) -> T:
    """Does something, again and again for ``patience`` seconds while it fails because the database is away.

    The answer to a commit may get lost although it was done: the action must change nothing when it is repeated.
    """
    try:
        return action()
    except Exception as error:
        patience = left_of(patience)
        if patience <= 0 or not while_(error):
            raise
    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception(while_),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
        stop=tenacity.stop_before_delay(patience),
        reraise=True,
    )
    return again(action)


def waited_out(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Repeats a method while the database is away (see `insist`)."""

    @functools.wraps(method)
    def insisting(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return insist(self.patience, lambda: method(self, *args, **kwargs))

    return insisting
