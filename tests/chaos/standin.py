"""A trainer without a network: figures follow from what is trained, checkpoints and messages are real.

It stands where `runner.training.trainer` does and keeps the same promises: own process group, gone with its worker, one
at a time in a folder, checkpoint before report, resumes from the last finished epoch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import filelock
import ledger

from runner.lifeline import detach, end_without
from runner.machine import Machine
from runner.paths import TrialPaths
from runner.protocol import EpochReport, Lease, Note, Result, Verdict

EPOCH = "CHAOS_EPOCH_SECONDS"
_PADDING = 64 * 1024  # bytes: a checkpoint that fills a disk
_LOCK_SECONDS = 20


def figures(state: str) -> dict[str, float | None]:
    """What the validation of a state of the network gives."""
    digest = hashlib.sha256(state.encode()).digest()
    part = [int.from_bytes(digest[8 * i : 8 * i + 7]) / 2**56 for i in range(3)]
    return {"segm_mAP": part[0], "segm_mAP_50": part[1], "bbox_mAP": part[2], "segm_mAP_l": None}


def after(state: str, epoch: int) -> str:
    """The state after one more epoch: whoever resumes from a wrong one never meets the right one again."""
    return hashlib.sha256(f"{state}:{epoch}".encode()).hexdigest()


def undisturbed(training: str, epochs: int) -> list[dict[str, float | None]]:
    """The figures of every epoch of a training that nothing disturbs (`Lease.training` names it)."""
    state, found = training, []
    for epoch in range(1, epochs + 1):
        state = after(state, epoch)
        found.append(figures(state))
    return found


def main(lease_json: str, machine: Machine, link: Connection, worker: int | None = None) -> None:
    """Entry of the process, as `runner.training.trainer.main`."""
    detach()
    lease = Lease.model_validate_json(lease_json)
    paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)
    if worker:
        end_without(worker, lease.lease_seconds - 2 * lease.heartbeat_seconds)
    book = Path(os.environ[ledger.LEDGER])
    try:
        paths.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(paths.lock, timeout=_LOCK_SECONDS):
            note = Note(kind="result", result=_train(lease, paths, book, link))
            ledger.write(book, "result", lease.trial, lease.fence)
    except filelock.Timeout:
        note = Note(kind="node_fault", reason=f"{paths.folder}: another trainer still writes here")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        ledger.write(book, "disk", lease.trial, lease.fence)
        note = Note(kind="node_fault", reason=f"{paths.folder}: {error.strerror}")
    with contextlib.suppress(BrokenPipeError):
        _say(link, note)


def _train(lease: Lease, paths: TrialPaths, book: Path, link: Connection) -> Result:
    state, history = _resume(lease, paths)
    known = {report.epoch for report in lease.reported}
    for entry in history:
        if entry["epoch"] not in known:
            _report(link, EpochReport.model_validate(entry))
    for epoch in range(len(history) + 1, lease.combination.settings["epochs"] + 1):
        ledger.write(book, "begin", lease.trial, lease.fence, epoch)
        time.sleep(float(os.environ[EPOCH]))
        state = after(state, epoch)
        report = EpochReport(epoch=epoch, metrics=figures(state), seconds=float(os.environ[EPOCH]))
        history.append(report.model_dump())
        _save(paths, {"training": lease.training(), "state": state, "history": history})
        ledger.write(book, "saved", lease.trial, lease.fence, epoch)
        _report(link, report)
    return Result(outcome="complete", parameters=1, seconds=sum(entry["seconds"] for entry in history), config="\n")


def _resume(lease: Lease, paths: TrialPaths) -> tuple[str, list[dict[str, Any]]]:
    if not paths.last.exists():
        return lease.training(), []
    checkpoint = json.loads(paths.last.read_text(encoding="utf-8"))
    assert checkpoint["training"] == lease.training(), f"{paths.last} is another training's"
    return checkpoint["state"], checkpoint["history"]


def _save(paths: TrialPaths, checkpoint: dict[str, Any]) -> None:
    temporary = paths.last.with_name(f".{paths.last.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(checkpoint) + " " * _PADDING)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(paths.last)
    finally:
        temporary.unlink(missing_ok=True)


def _report(link: Connection, report: EpochReport) -> None:
    _say(link, Note(kind="report", report=report))
    Verdict.model_validate_json(link.recv_bytes())


def _say(link: Connection, note: Note) -> None:
    link.send_bytes(note.model_dump_json().encode())
