"""What travels with a trial between the server and a worker that does not share its disk."""

from __future__ import annotations

import contextlib
import logging

import httpx

from runner.errors import UserError
from runner.paths import TrialPaths
from runner.protocol import Lease
from runner.wire.artifacts import NoRoomError, Transfer
from runner.wire.client import Client

log = logging.getLogger("sweep.worker")


class Luggage:
    """Fetches what a trial goes on from, and sends what it leaves.

    Args:
        client: of the study server.
        shared: whether the server sees the worker's own files, so that nothing travels.
    """

    def __init__(self, client: Client, shared: bool) -> None:
        self._client, self._shared = client, shared
        self._staying: set[tuple[str, int, str]] = set()  # files for which the server had no room

    def fetch(self, lease: Lease, renewed: float) -> float:
        """Brings the checkpoints of the attempts before; returns when the lease was last renewed.

        Raises:
            LeaseLostError, httpx.TransportError, UserError, OSError: as `Transfer.download`.
        """
        if self._shared or not lease.reported:
            return renewed
        paths = _paths(lease)
        transfer = Transfer(self._client.http, lease, renewed)
        for target in (paths.last, paths.best):
            if transfer.download(lease.study, lease.trial, target.name, target):
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

    def forget(self, lease: Lease) -> None:
        """Deletes the checkpoints of a trial that has ended, where the server has them: they fill disks."""
        paths = _paths(lease)
        for file in (paths.last, paths.best):
            if not self._shared and (lease.study, lease.trial, file.name) not in self._staying:
                file.unlink(missing_ok=True)

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
            except NoRoomError as error:  # the training need not end for that
                log.warning("trial %d: %s stays here: %s", lease.trial, name, error)
                self._staying.add((lease.study, lease.trial, name))
        return max(renewed, transfer.renewed)


def _paths(lease: Lease) -> TrialPaths:
    return TrialPaths.of(lease.work_dir, lease.study, lease.trial)
