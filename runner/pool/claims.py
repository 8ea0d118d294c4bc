"""Which GPUs of a machine are taken: a lock a GPU, so that no two pools train on one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from runner.errors import UserError
from runner.pool.gpus import choose, found

log = logging.getLogger("sweep.worker")


class Claims:
    """The GPUs that this process has taken; they are free again when it ends, however it ends.

    Args:
        folder: of the locks, the same for everybody on the machine; by default below /run/lock, else /tmp.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _folder()

    def take(self, names: Sequence[str]) -> list[str]:
        """Takes the GPUs that nobody has, of those that CUDA_VISIBLE_DEVICES names so; says which are left out.

        Raises:
            UserError: others have them all; the folder of the locks is not to be trusted.
        """
        cards = {name: gpu for name, gpu in choose(found(), names) if gpu}
        mine, others = [], []
        for name in names:
            holder = self._lock(cards[name].uuid if name in cards else name)
            if holder is None:
                mine.append(name)
            else:
                others.append(f"GPU {name} trains for process {holder} already")
        if names and not mine:
            raise UserError(f"no GPU of this machine is free: {'; '.join(others)}")
        for line in others:
            log.warning("%s: it is left out", line)
        return mine

    def _lock(self, key: str) -> str | None:
        """Takes one lock; None, or who has it. A folder that can't be written locks nothing.

        Raises:
            UserError: the folder is not to be trusted.
        """
        path = self._folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', key)}.lock"
        try:
            descriptor = _opened(path)
        except OSError as error:
            log.warning("%s: %s; another sweep on this machine would not see that this GPU is taken", path, error)
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            return holder or "?"
        with contextlib.suppress(OSError):  # another user's file: who holds it can't be written into it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return None


def _opened(path: Path) -> int:
    """The lock file, made if it is not there. Others' files are opened as they are, links never followed."""
    folder = _opened_folder(path.parent)
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        for mode in (os.O_RDWR, os.O_RDONLY):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                return os.open(path.name, mode | flags, dir_fd=folder)
        with contextlib.suppress(FileExistsError):
            return os.open(path.name, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o644, dir_fd=folder)
        return os.open(path.name, os.O_RDONLY | flags, dir_fd=folder)
    finally:
        os.close(folder)


def _opened_folder(path: Path) -> int:
    """The folder of the locks. If it is not there it is made, for everybody; one that is there stays as it is.

    Raises:
        UserError: it is a link, or somebody else's who may exchange the locks in it.
    """
    made = False
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o1777)
        made = True
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise UserError(f"{path}: expected the folder of the GPUs' locks, found a link or a file; remove it") from error
    try:
        if made:
            os.fchmod(folder, 0o1777)  # the process's mask may have taken something
        status = os.fstat(folder)
        if status.st_uid != os.geteuid() and not status.st_mode & stat.S_ISVTX:
            raise UserError(
                f"{path}: the folder of the GPUs' locks belongs to user {status.st_uid}, who may exchange them; "
                "remove it, or have it made safe: chmod 1777"
            )
    except BaseException:
        os.close(folder)
        raise
    return folder


def _folder() -> Path:
    """Not below /dev/shm or a user's own folder: those are emptied when somebody logs out, or seen by one user only."""
    shared = Path("/run/lock")
    return (shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())) / "sweep"
