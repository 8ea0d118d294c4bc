"""What can be wrong with a file that is sent or asked for; each has the HTTP status that tells it."""

from __future__ import annotations

import errno
from typing import Any

from results.errors import ResultsError


class ArtifactError(Exception):
    """The request can't be served as it is; the message says why."""

    status = 400

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"detail": str(self)}


class UnknownArtifactError(ArtifactError):
    """There is no such name, or nothing of that name here."""

    status = 404


class WrongOffsetError(ArtifactError):
    """The bytes sent are not the next ones.

    Args:
        offset: of the next byte that is missing.
    """

    status = 409

    def __init__(self, offset: int) -> None:
        super().__init__(f"the next byte that is missing is number {offset}")
        self.offset = offset

    def document(self) -> dict[str, Any]:
        """With the offset, which tells it from a lease that is lost."""
        return {**super().document(), "offset": self.offset}


class TooLargeError(ArtifactError):
    """A file or a piece has more bytes than it may have."""

    status = 413


class WrongContentError(ArtifactError):
    """What arrived is not what was announced; it was thrown away."""

    status = 422

    def document(self) -> dict[str, Any]:
        """With a key that tells it from a request that is no good at all."""
        return {**super().document(), "send": "again"}


class NoRoomError(ArtifactError):
    """The disk is full, or the disk budget is spent."""

    status = 507


class BackendError(ResultsError):
    """The artifact store does not do what it should; whoever runs the server must see it."""


def disk_error(error: OSError, what: str) -> Exception:
    """What a file system's error means for the sender: no room, or trouble that may pass."""
    why = f"{what}: {(error.strerror or str(error)).lower()}"
    return NoRoomError(why) if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else BackendError(why)
