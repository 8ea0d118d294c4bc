"""The child process that trains: forked warm, in its own process group, and gone with its worker."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

import filelock

from runner.lifeline import detach, end_without
from runner.machine import Machine
from runner.paths import TrialPaths
from runner.protocol import EpochReport, Lease, Note, Verdict
from runner.training.failures import explain
from runner.training.train import train
from runner.worker.oomkills import oom_kills

_LOCK_SECONDS = 20  # a predecessor that was killed, or whose worker stands still, is gone before


def main(lease_json: str, machine: Machine, link: Connection, worker: int | None = None) -> None:
    """Entry of the process: trains, and sends one last note whatever happens.

    Args:
        lease_json: a protocol.Lease.
        machine: the slot's threads and loader workers.
        link: notes go out, a Verdict comes back for each report.
        worker: process that holds the lease; without it the training is nobody's.
    """
    detach()
    lease = Lease.model_validate_json(lease_json)
    paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)
    if worker:
        end_without(worker, lease.patience)

    def report(epoch: EpochReport) -> Verdict:
        link.send_bytes(Note(kind="report", report=epoch).model_dump_json().encode())
        return Verdict.model_validate_json(link.recv_bytes())

    note = _guarded(lease, machine, paths, report)
    with contextlib.suppress(BrokenPipeError):
        link.send_bytes(note.model_dump_json().encode())


def _guarded(lease: Lease, machine: Machine, paths: TrialPaths, report: Callable[[EpochReport], Verdict]) -> Note:
    """Trains; what is raised is told apart by `runner.training.failures`."""
    kills = oom_kills()
    try:
        paths.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(paths.lock, timeout=_LOCK_SECONDS):
            _log_to(paths)
            return Note(kind="result", result=train(lease, machine, report))
    except Exception as error:  # noqa: BLE001  a training may raise anything
        return explain(error, lease, paths, kills)


def _log_to(paths: TrialPaths) -> None:
    """Everything printed from here on, by C code as well, is appended to the trial's log."""
    with paths.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    ours = logging.getLogger("sweep")
    ours.setLevel(logging.INFO)
    ours.addHandler(logging.StreamHandler(sys.stderr))
