"""What a server that starts again must know of its trials."""

from __future__ import annotations

from sweeps.leases.failures import replay
from sweeps.leases.machine import Kept
from sweeps.study.study import Study

CANCELLED = "cancelled"  # stands where a failure does, and is none


def kept(study: Study) -> list[Kept]:
    """Every trial as the store has it, for `leases.restore`; running ones are their workers' still."""
    rows = study.store.trials(study.record.name)
    return [
        Kept(row.number, row.fence, ended=True)
        if row.finished_at
        else _open(study, row.number, row.fence, row.worker if row.state == "running" else None, bool(row.adjusted))
        for row in rows
    ]


def _open(study: Study, number: int, fence: int, worker: str | None, shrunk: bool) -> Kept:
    name = study.record.name
    last = max((epoch.epoch for epoch in study.store.epochs(name, number)), default=0)
    attempts = [
        (one.end, last >= one.first_epoch if one.ended_at is None else one.last_epoch is not None)
        for one in study.store.attempts(name, number)
    ]
    return Kept(number, fence, last, worker=worker, history=replay(attempts, shrunk))


def ends(study: Study) -> list[str | None]:
    """How the trials ended, in order; None for those that did not fail."""
    rows = [row for row in study.store.trials(study.record.name) if row.finished_at and row.failure != CANCELLED]
    rows.sort(key=lambda row: (row.finished_at, row.number))
    return [row.failure for row in rows]
