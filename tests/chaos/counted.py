"""The real trainer, with a ledger of the epochs that it begins."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import ledger
from mmengine.runner import Runner

from runner.machine import Machine
from runner.plugins.report import ReportHook
from runner.protocol import Lease, Note
from runner.training import trainer


class _Watched:
    """The way to the worker; what passes is noted."""

    def __init__(self, link: Connection, book: Path, lease: Lease) -> None:
        self._link, self._book, self._lease = link, book, lease

    def send_bytes(self, message: bytes) -> None:
        kind = Note.model_validate_json(message).kind
        if kind != "report":
            ledger.write(self._book, "result" if kind == "result" else "disk", self._lease.trial, self._lease.fence)
        self._link.send_bytes(message)

    def recv_bytes(self) -> bytes:
        return self._link.recv_bytes()


def main(lease_json: str, machine: Machine, link: Connection, worker: int | None = None) -> None:
    """Entry of the process, as `runner.training.trainer.main`."""
    lease = Lease.model_validate_json(lease_json)
    book = Path(os.environ[ledger.LEDGER])

    def begins(_: ReportHook, runner: Runner) -> None:
        ledger.write(book, "begin", lease.trial, lease.fence, runner.epoch + 1)

    ReportHook.before_train_epoch = begins
    trainer.main(lease_json, machine, cast(Connection, _Watched(link, book, lease)), worker)
