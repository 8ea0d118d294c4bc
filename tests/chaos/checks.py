"""What must be true after any chaos."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import ledger
from conductor import Outcome
from faults import KILLED, Fault
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from town import Town

from results.records import EpochRecord, StudyRecord, TrialRecord
from results.store import Store
from runner.worker.agent import NODE_FAULT

Attempt = tuple[int, int]  # trial, fence
Figures = Callable[[StudyRecord, TrialRecord], list[dict[str, float | None]]]
_GIVING_UP = 30.0  # seconds that a worker without a disk takes to say so, with its server away
_OUTAGE = 13.0  # seconds without a server that every training survives: most of a lease, but for two heartbeats
_SOON = 4.0  # seconds between a signal and the end of a training, on a busy machine


def everything(town: Town, outcome: Outcome, study: str, trials: int, undisturbed: Figures) -> Counter[str]:
    """Checks store, Optuna's tables, ledger and processes; counts for people."""
    assert not outcome.orphans, f"left over: {outcome.orphans}"
    with Store.open(town.plan.storage, readonly=True) as store:
        record = store.study(study)
        assert record
        rows = store.trials(study)
        epochs = {row.number: store.epochs(study, row.number) for row in rows}
        ends = {row.number: [one.end for one in store.attempts(study, row.number)] for row in rows}
    assert len(rows) == trials
    assert {(row.state, row.failure, row.reason) for row in rows} == {("complete", None, None)}
    for row in rows:
        assert [one.metrics for one in epochs[row.number]] == undisturbed(record, row), f"trial {row.number}"
        assert ends[row.number].count("complete") == 1 and ends[row.number][-1] == "complete", ends[row.number]
    doubles = _optuna(town.plan.storage, record, rows, epochs)
    _ends(outcome)
    victims = hit(town.book.lines, outcome.faults)
    again = trained_again(town.book.lines, victims)
    found = Counter({f"attempts ended by {end}": n for end, n in Counter(e for v in ends.values() for e in v).items()})
    return found + Counter(
        {
            "epochs trained again": again,
            "trainings ended by faults": len(victims),
            "made twice in Optuna's tables": doubles,
        }
    )


def _optuna(
    storage: str, record: StudyRecord, rows: Sequence[TrialRecord], epochs: dict[int, list[EpochRecord]]
) -> int:
    """Optuna's tables say the same, trial by trial; nothing runs there.

    Returns:
        How many were made twice there, since the answer to the first making got lost, and say so.
    """
    tables = RDBStorage(storage)
    found = tables.get_all_trials(tables.get_study_id_from_name(record.name))
    complete = {trial.number: trial for trial in found if trial.state == TrialState.COMPLETE}
    others = [trial for trial in found if trial.number not in complete]
    for trial in others:
        assert trial.state == TrialState.FAIL, trial
        assert re.fullmatch(r"the same as trial \d+, made twice|not begun", trial.user_attrs["reason"]), trial
    assert complete.keys() == {row.number for row in rows}
    for row in rows:
        trial = complete[row.number]
        assert trial.value == row.score
        assert trial.intermediate_values == {e.epoch: e.score for e in epochs[row.number] if e.score is not None}
    return len(others)


def _ends(outcome: Outcome) -> None:
    """Nothing ended by itself, but for workers whose disk was full."""
    full = [fault for fault in outcome.faults if fault.disk]
    for name, code, at in outcome.ends:
        within = any(fault.at <= at <= fault.until + _GIVING_UP for fault in full)
        assert name != "server" and code == NODE_FAULT and within, f"{name} ended with {code}: {outcome.ends}"


def trained_again(lines: Sequence[ledger.Line], victims: set[Attempt]) -> int:
    """How many epochs began more than once: only those of trainings that a fault ended, one of each at most."""
    seen = Counter[Attempt]()
    for (trial, epoch), begun in ledger.repeated(lines).items():
        for earlier in begun[:-1]:
            assert (trial, earlier.fence) in victims, f"trial {trial} epoch {epoch}: again for nothing: {begun}"
            seen[trial, earlier.fence] += 1
    assert all(count == 1 for count in seen.values()), f"more than one epoch of a training: {seen.most_common(3)}"
    return seen.total()


def hit(lines: Sequence[ledger.Line], faults: Iterable[Fault]) -> set[Attempt]:
    """The trainings that faults ended in their midst."""
    found: set[Attempt] = set()
    for fault in faults:
        found |= {(line.trial, line.fence) for line in lines if line.pid in fault.pids}
        if fault.until - fault.at > _OUTAGE:  # this machine was too busy to end it in time
            found |= {(line.trial, line.fence) for line in lines if fault.at - _SOON <= line.at <= fault.until + _SOON}
        if fault.disk:
            within = (line for line in lines if fault.at <= line.at <= fault.until + _SOON)
            found |= {(line.trial, line.fence) for line in within if line.what == "disk"}
        for worker in fault.workers:
            until = fault.at + (_SOON if fault.kind == KILLED else 0)
            last = max(
                (line for line in lines if line.worker == worker and line.at <= until), key=_moment, default=None
            )
            found |= {(last.trial, last.fence)} if last else set()
    return found - {(line.trial, line.fence) for line in lines if line.what == "result"}


def _moment(line: ledger.Line) -> float:
    return line.at
