"""What travels with a trial between the server and a worker that does not share its disk."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import filelock
import httpx

from runner.errors import UserError
from runner.paths import TrialPaths
from runner.protocol import Lease
from runner.wire.artifacts import NoRoomError, Transfer
from runner.wire.client import Client

log = logging.getLogger("sweep.worker")


class Staging:
    """Fetches what a trial goes on from, and sends what it leaves.

    Args:
        client: of the study server.
        shared: whether the server sees the worker's own files, so that nothing travels.
    """

    def __init__(self, client: Client, shared: bool) -> None:
        self._client, self._shared = client, shared
        self._held: dict[Path, bool] = {}  # files here -> whether the server has one of that name

    def fetch(self, lease: Lease, renewed: float) -> float:
        """Brings the checkpoints of the attempts before; returns when the lease was last renewed.

        Raises:
            LeaseLostError, httpx.TransportError, UserError, OSError: as `Transfer.download`.
        """
        if self._shared or not lease.reported:
            return renewed
        targets = _checkpoints(lease)
        self._held |= dict.fromkeys(targets, False)
        transfer = Transfer(self._client.http, lease, renewed)
        for target in targets:
            self._held[target] = transfer.download(lease.study, lease.trial, target.name, target)
            if self._held[target]:
                log.info("trial %d: %s fetched from the study server", lease.trial, target.name)
        return transfer.renewed

    def send_epoch(self, lease: Lease, renewed: float) -> float:
        """Sends checkpoint and log before an epoch is reported: what was reported is where others can go on from.

        Raises:
            LeaseLostError, httpx.TransportError, UserError, OSError: as `Transfer.upload`.
        """
        paths = _paths(lease)
        # the best one first: an epoch that a resume skips has its best checkpoint already
        names = ("best.pth", "last.pth", "train.log") if lease.objective.at == "best" else ("last.pth", "train.log")
        return self._send(lease, renewed, paths, names)

    def send_rest(self, lease: Lease, renewed: float) -> float:
        """Sends config and log when an attempt ends; whatever hinders it, the end itself is what counts."""
        with contextlib.suppress(UserError, OSError, httpx.TransportError):
            return self._send(lease, renewed, _paths(lease), ("config.py", "predictions.png", "train.log"))
        return renewed

    def forget(self, lease: Lease, over: bool) -> None:
        """Deletes the checkpoints of an attempt that has ended: they fill disks, and the server has them.

        What it has not, since it had no room, stays; and so does what another worker of this machine trains from now.

        Args:
            lease: of the attempt.
            over: whether this worker cannot go on from here, so that what was not sent yet goes as well.
        """
        if self._shared:
            return
        gone = [file for file in _checkpoints(lease) if file.is_file() and self._held.get(file, over)]
        if gone:
            with contextlib.suppress(OSError), filelock.FileLock(_paths(lease).lock, blocking=False):
                for file in gone:
                    file.unlink(missing_ok=True)
        self._held = {file: held for file, held in self._held.items() if not held}

    def _send(self, lease: Lease, renewed: float, paths: TrialPaths, names: tuple[str, ...]) -> float:
        if self._shared:
            return renewed
        transfer = Transfer(self._client.http, lease, renewed)
        for name in names:
            file = paths.folder / name
            if not file.is_file():
                continue
            try:
                transfer.upload(name, file)
                self._held[file] = True
            except NoRoomError as error:  # the training need not end for that
                log.warning("trial %d: %s stays here: %s", lease.trial, name, error)
                self._held[file] = False
        return max(renewed, transfer.renewed)


def _paths(lease: Lease) -> TrialPaths:
    return TrialPaths.of(lease.work_dir, lease.study, lease.trial)


def _checkpoints(lease: Lease) -> tuple[Path, Path]:
    return _paths(lease).last, _paths(lease).best
