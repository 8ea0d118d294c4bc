"""The child process that trains: forked warm, in its own process group, and gone with its worker."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import filelock
import torch

from runner.errors import UserError
from runner.lifeline import detach
from runner.machine import Machine
from runner.paths import TrialPaths
from runner.plugins.report import NonFiniteLossError
from runner.protocol import EpochReport, Lease, Note, Result, Verdict
from runner.training import train
from runner.userparts import PluginChangedError
from runner.weights import cache

_LOCK_SECONDS = 20  # a predecessor that was killed is gone long before


def main(lease_json: str, machine: Machine, link: Connection) -> None:
    """Entry of the process: trains, and sends one last note whatever happens.

    Args:
        lease_json: a protocol.Lease.
        machine: the slot's threads and loader workers.
        link: notes go out, a Verdict comes back for each report.
    """
    detach()
    lease = Lease.model_validate_json(lease_json)
    paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)

    def report(epoch: EpochReport) -> Verdict:
        link.send_bytes(Note(kind="report", report=epoch).model_dump_json().encode())
        return Verdict.model_validate_json(link.recv_bytes())

    note = _guarded(lease, machine, paths, report)
    with contextlib.suppress(BrokenPipeError):
        link.send_bytes(note.model_dump_json().encode())


def _guarded(lease: Lease, machine: Machine, paths: TrialPaths, report: Callable[[EpochReport], Verdict]) -> Note:
    """Trains and tells failures of the trial from failures of the machine."""
    try:
        paths.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(paths.lock, timeout=_LOCK_SECONDS):
            _log_to(paths)
            return Note(kind="result", result=train(lease, machine, report))
    except torch.OutOfMemoryError as error:
        return _ended("infeasible", f"out of GPU memory: {_line(error)}")
    except filelock.Timeout:  # an OSError too, so it comes first
        return Note(kind="node_fault", reason=f"{paths.folder}: another trainer still writes here")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO):
            return Note(kind="node_fault", reason=_disk(error, paths))
        traceback.print_exc()
        return _ended("failed", _line(error))
    except NonFiniteLossError as error:
        return _ended("failed", str(error))
    except PluginChangedError as error:  # a UserError too; no other trial can train here either
        return Note(kind="node_fault", reason=str(error))
    except UserError as error:
        return _ended("failed", str(error))
    except Exception as error:  # noqa: BLE001  a training may raise anything; the log has the traceback
        traceback.print_exc()
        return _ended("failed", f"{type(error).__name__}: {_line(error)}; see {paths.log}")


def _ended(outcome: Literal["failed", "infeasible"], reason: str) -> Note:
    return Note(kind="result", result=Result(outcome=outcome, reason=reason))


def _disk(error: OSError, paths: TrialPaths) -> str:
    what = os.strerror(error.errno) if error.errno else str(error)
    if error.filename and Path(error.filename).is_relative_to(cache()):
        return f"{error.filename}: {what}; SWEEP_WEIGHTS names another folder for pretrained weights"
    return f"{paths.folder}: {what}; nothing of the last finished epoch is lost, make room and start again"


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


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
