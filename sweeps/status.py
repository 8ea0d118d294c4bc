"""The status document, from a running server or from the database alone."""

from __future__ import annotations

from typing import Any

from results.ranking import rank
from results.reader import Reader
from results.records import StudyRecord


def document(
    store: Reader, record: StudyRecord, state: str, workers: list[dict[str, Any]], trials_left: int | None
) -> dict[str, Any]:
    """``sweep status --format json``.

    Args:
        store: holds the study.
        record: the study.
        state: running, finished, paused or stopped.
        workers: who works on it now.
        trials_left: trials not ended yet, those that have not begun included; None if that is open.
    """
    trials = store.trials(record.name)
    ranking = rank(record, trials)
    seconds = [trial.seconds for trial in trials if trial.state == "complete" and trial.seconds]
    eta = None
    if workers and seconds and trials_left is not None:
        eta = trials_left * sum(seconds) / len(seconds) / len(workers)
    return {
        "study": record.name,
        "state": state,
        "trials": store.counts(record.name),
        "best": ranking.best.document() if ranking.best else None,
        "workers": workers,
        "eta_seconds": eta,
    }
