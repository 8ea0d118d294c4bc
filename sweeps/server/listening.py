"""What keeps a server from listening, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from runner.errors import UserError


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[None]:
    """Where an address is taken.

    Raises:
        UserError: it is another's, or not this machine's.
    """
    if not host:
        raise UserError("--host is empty; write 0.0.0.0 for every address of this machine")
    try:
        yield
    except (OSError, OverflowError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        why = why.partition(" (")[0].lower()  # Python adds the address, which we name ourselves
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise UserError(f"cannot listen on {where}: {why}; --host and --port name another") from error
