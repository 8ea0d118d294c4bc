"""Paths as people write them."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from runner.errors import UserError


def named(base: Path, raw: str) -> Path:
    """The path that a text names, relative to a folder; ``~`` is a home.

    Raises:
        UserError: no file can have such a name (a null byte, too long, the home of nobody).
    """
    shown = raw if raw.isprintable() and len(raw) < 200 else repr(raw[:200])
    try:
        path = base / Path(raw).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.lstat()
    except RuntimeError:
        raise UserError(f"expected a path, found {shown}: there is no such user") from None
    except ValueError:
        raise UserError(f"expected a path, found {shown}, which no file can be called") from None
    except OSError as error:
        why = os.strerror(error.errno or errno.EINVAL).lower()
        raise UserError(f"expected a path, found {shown}: {why}") from None
    return path
