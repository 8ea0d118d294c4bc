"""How files travel between workers and the study server: their names, their sizes, the messages about them.

Names are a closed set. What a peer calls a file never becomes a path: the server keeps files under ids of its own,
a worker under the names of `runner.paths`.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, StringConstraints

from runner.protocol import Message

PIECE_BYTES = 8 * 2**20  # of one request, at most
LARGEST_LABELS = 4 * 2**30  # bytes of a label file
_LARGEST = {"config.py": 4 * 2**20, "train.log": 2**30, "last.pth": 64 * 2**30, "best.pth": 64 * 2**30}  # bytes
_PICTURE, _LARGEST_PICTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.png", re.ASCII), 32 * 2**20
CHECKPOINTS = ("best.pth", "last.pth")
NAMES = ", ".join(_LARGEST) + ", pictures NAME.png"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def is_picture(name: str) -> bool:
    """Whether the name is that of a picture."""
    return _PICTURE.fullmatch(name) is not None


def largest(name: str) -> int | None:
    """Bytes that an artifact of that name may have; None if there is no such name."""
    return _LARGEST_PICTURE if is_picture(name) else _LARGEST.get(name)


def trial_path(study: str, trial: int) -> str:
    """Where the server has a trial."""
    return f"/studies/{quote(study, safe='')}/trials/{trial}"


def artifact_path(study: str, trial: int, name: str = "") -> str:
    """Where the server has an artifact, or, without a name, the list of a trial's artifacts."""
    path = f"{trial_path(study, trial)}/artifacts"
    return f"{path}/{quote(name, safe='')}" if name else path


def label_path(study: str, sha256: str) -> str:
    """Where the server has a label file of the study's data."""
    return f"/studies/{quote(study, safe='')}/data/{quote(sha256, safe='')}"


class Begin(Message):
    """A file is about to be sent; said again, it asks how far that got.

    Attributes:
        size: bytes.
        sha256: of the whole content.
        fence: of the lease under which an artifact is sent; label files need none.
    """

    size: int = Field(ge=0, lt=2**50)
    sha256: Sha256
    fence: int | None = Field(default=None, ge=0, lt=2**31)


class Standing(Message):
    """How far a file got.

    Attributes:
        offset: bytes that are there.
        done: whether it is there, whole and checked. With all bytes and not done: ask again in a moment.
    """

    offset: int
    done: bool = False


class Held(Message):
    """A file that the server has: its name, bytes, SHA-256."""

    name: str
    size: int
    sha256: str
