"""Files are written beside their name and renamed, so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from results.errors import ResultsError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8); after a failure it is what it was before.

    Raises:
        ResultsError: its folder is missing or read-only, it is a folder, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as file:
        file.write(data)


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file of any size; after a failure the target is what it was before.

    Raises:
        ResultsError: as for `write_atomically`, or the source cannot be read.
    """
    try:
        file = source.open("rb")
    except OSError as error:
        raise ResultsError(f"cannot read {source}: {error.strerror or error}") from error
    with file, replacing(target) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the path's place when the block ends well.

    Raises:
        ResultsError: it cannot be written.
    """
    target = path.resolve()  # what a link points at is replaced, not the link
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open("wb") as device:  # /dev/stdout, a pipe: nothing to rename
                yield device
            return
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(_explain(path, target, error)) from error


def _umask() -> int:
    """The process's mask of permissions: it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _explain(path: Path, target: Path, error: OSError) -> str:
    if target.is_dir():
        return f"cannot write {path}: it is a folder; name a file with --out"
    if not target.parent.is_dir():
        return f"cannot write {path}: the folder {target.parent} does not exist"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"cannot write {path}: the disk is full"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write {path}: the folder {target.parent} is read-only; name another file with --out"
    return f"cannot write {path}: {error.strerror or error}"
