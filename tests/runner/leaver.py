"""A trainer that trains nothing: it saves a checkpoint, reports one epoch, and ends as LEAVER says."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection

from runner.lifeline import detach
from runner.machine import Machine
from runner.paths import TrialPaths
from runner.protocol import EpochReport, Lease, Note, Result

LEAVER = "LEAVER"
NOTES = {
    "complete": Note(kind="result", result=Result(outcome="complete", config="model = {}\n", seconds=1.0)),
    "nan_loss": Note(kind="result", result=Result(outcome="failed", failure="nan_loss", reason="the loss is NaN")),
    "node_fault": Note(kind="node_fault", reason="No space left on device"),
}


def main(lease_json: str, machine: Machine, link: Connection, worker: int | None = None) -> None:
    """Entry of the process, as `runner.training.trainer.main`."""
    detach()
    lease = Lease.model_validate_json(lease_json)
    paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)
    paths.folder.mkdir(parents=True, exist_ok=True)
    paths.last.write_bytes(b"weights")
    link.send_bytes(Note(kind="report", report=_report()).model_dump_json().encode())
    link.recv_bytes()
    if note := NOTES.get(os.environ[LEAVER]):
        link.send_bytes(note.model_dump_json().encode())
    elif os.environ[LEAVER] != "crashed":
        time.sleep(3600)


def _report() -> EpochReport:
    return EpochReport(epoch=1, metrics={"segm_mAP": 0.5}, seconds=1.0)
