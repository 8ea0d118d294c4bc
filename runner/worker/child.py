"""A worker's child process that trains: how it begins, and how it is ended from outside."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from runner.machine import Machine

TRAINER = "runner.training.trainer"  # the module whose `main` trains


def trainer(
    lease_json: str, machine: Machine, link: Connection, worker: int | None = None, module: str = TRAINER
) -> None:
    """Runs in the child, where torch is loaded already; the worker itself never loads it."""
    importlib.import_module(module).main(lease_json, machine, link, worker)


def kill(process: BaseProcess) -> None:
    """Ends the trainer and its loader workers; checkpoints are renamed into place, so this is safe at any time."""
    if process.pid is None:  # it was not even started
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
