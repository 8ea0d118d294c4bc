"""What a user can mend: one clear line each, never a traceback."""

from __future__ import annotations

import errno
from dataclasses import dataclass

INTERRUPTED = 130  # exit code after Ctrl-C or SIGTERM
# errors of a disk that nobody can train with until somebody mends it
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)


@dataclass(frozen=True)
class Problem:
    """One mistake in a file.

    Attributes:
        key: dotted path of the key in the document ("train.images"), or "annotations[3].segmentation".
        message: what was expected and what was found.
        suggestion: what to write instead, where that is known.
        fatal: whether a training on it would fail or its score would lie.
    """

    key: str
    message: str
    suggestion: str | None = None
    fatal: bool = True


class UserError(Exception):
    """A mistake of the user's: what, where, what was found, what to write instead, in one line."""
