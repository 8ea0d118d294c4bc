"""The status document, from a running server or from the database alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results.ranking import rank
from results.reader import Reader
from results.records import StudyRecord


def counted(document: Mapping[str, Any]) -> str:
    """How many trials of a status document are in which state, as ``1 running, 8 complete``; "" for none."""
    return ", ".join(f"{number} {state}" for state, number in document["trials"].items() if number)


def document(
    store: Reader,
    record: StudyRecord,
    state: str,
    workers: list[dict[str, Any]],
    trials_left: int | None,
    reason: str | None = None,
) -> dict[str, Any]:
    """``sweep status --format json``.

    Args:
        store: holds the study.
        record: the study.
        state: running, finished, paused or stopped.
        workers: who works on it now.
        trials_left: trials not ended yet, those that have not begun included; None if that is open.
        reason: why it is finished or paused.
    """
    found = store.summary(record.name)
    # a row needs the baseline beside it, and no other trial
    ranking = rank(record, list({t.number: t for t in (found.baseline, found.best) if t}.values()))
    eta = None
    if workers and found.mean_seconds and trials_left is not None:
        eta = trials_left * found.mean_seconds / len(workers)
    return {
        "study": record.name,
        "state": state,
        "reason": reason,
        "trials": found.counts,
        "best": ranking.best.document() if ranking.best else None,
        "workers": workers,
        "eta_seconds": eta,
    }
