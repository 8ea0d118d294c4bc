"""The status document, from a running server or from the database alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from results.ranking.confirmation import pick
from results.ranking.ranking import rank, ranked
from results.reader import Reader
from results.records import StudyRecord, TrialRecord


def counted(document: Mapping[str, Any]) -> str:
    """How many trials of a status document are in which state, as ``1 running, 8 complete``; "" for none."""
    return ", ".join(f"{number} {state}" for state, number in document["trials"].items() if number)


def shown(best: Mapping[str, Any]) -> str:
    """The best row of a status document, as ``0.4123456789 (trial 3)``; of several seeds the mean."""
    if best["seeds"] == 1:
        return f"{best['score']:.10f} (trial {best['trial']})"
    return f"{best['mean']:.10f} (mean of {best['seeds']} seeds; trial {best['trial']})"


def document(
    store: Reader,
    record: StudyRecord,
    state: str,
    workers: list[dict[str, Any]],
    trials_left: int | None,
    reason: str | None = None,
) -> dict[str, Any]:
    """``sweep status --format json``. The best is what ``sweep best`` exports.

    Args:
        store: holds the study.
        record: the study.
        state: running, finished, paused or stopped.
        workers: who works on it now.
        trials_left: trials not ended yet, those that have not begun included; None if that is open.
        reason: why it is finished or paused.
    """
    found = store.summary(record.name)
    best = None
    if found.best and (found.repeated or found.confirmation):
        trials = store.trials(record.name)
        best = _row(record, pick(trials, None, found.confirmation)[0], trials)
    elif found.best and found.baseline:
        best = _row(record, found.best, [found.baseline, found.best])
    eta = None
    if workers and found.mean_seconds and trials_left is not None:
        eta = trials_left * found.mean_seconds / len(workers)
    return {
        "study": record.name,
        "state": state,
        "reason": reason,
        "trials": found.counts,
        "best": best,
        "workers": workers,
        "eta_seconds": eta,
    }


def _row(record: StudyRecord, best: TrialRecord, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """The document of the best trial's row, which needs the baseline and the trial's other seeds beside it."""
    scored = {one.number: one for one in sorted(trials, key=lambda one: one.number) if ranked(one)}
    first = next(iter(scored))
    ranking = rank(record, [t for t in scored.values() if t.number == first or t.combination == best.combination])
    row = next(row for row in ranking.rows if row.trial == best.number)
    place = 1 + sum((one.score or 0.0) > (best.score or 0.0) for one in scored.values())
    return replace(row, rank=place).document()
