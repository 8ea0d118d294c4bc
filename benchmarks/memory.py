"""A study whose tables lie in memory: thousands of simulated trainings go through the server's own code in minutes.

Only the database is left out. What decides (leases, proposer, sampler, pruner, budget) is the real thing; that a study
on a real database decides the same, a test shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from unittest import mock

from results.records import EpochRecord, ImportRecord, Span, StudyRecord, TrialRecord, TrialState, now
from results.store import Store
from runner.protocol import DataPaths
from sweeps.space.schema import SearchSpace
from sweeps.study import followers
from sweeps.study.study import Study


class MemoryStore:
    """What a study uses of `results.store.Store`, for one study of which nothing fails."""

    def __init__(self) -> None:
        self.rows: dict[int, TrialRecord] = {}
        self.best: TrialRecord | None = None  # as `Store.summary` names it
        self._epochs: dict[int, list[EpochRecord]] = {}

    def claim(self, study: str) -> None:
        """Nobody else writes here."""

    def trials(self, study: str) -> list[TrialRecord]:
        return list(self.rows.values())

    def trial(self, study: str, number: int) -> TrialRecord | None:
        return self.rows.get(number)

    def epochs(self, study: str, number: int) -> list[EpochRecord]:
        return self._epochs[number]

    def scores(self, study: str) -> dict[int, dict[int, float]]:
        return {n: {e.epoch: e.score for e in told if e.score is not None} for n, told in self._epochs.items()}

    def spans(self, study: str) -> list[Span]:
        return []

    def imports(self, study: str) -> list[ImportRecord]:
        return []

    def add_trial(self, study: str, number: int, **given: Any) -> None:
        self._epochs[number] = []
        self.rows[number] = TrialRecord(
            study=study, number=number, worker=None, device=None, state="waiting", fence=0, attempts=0, score=None,
            best_score=None, best_epoch=None, metrics={}, parameters=None, peak_memory_mb=None, seconds=None,
            reason=None, versions={}, config_hash=None, created_at=now(), started_at=None, finished_at=None, **given,
        )  # fmt: skip

    def lease(self, study: str, number: int, **given: Any) -> TrialRecord:
        row = self.rows[number]
        self.rows[number] = replace(row, state="running", attempts=row.attempts + 1, started_at=now(), **given)
        return self.rows[number]

    def add_epoch(self, study: str, number: int, epoch: EpochRecord) -> bool:
        self._epochs[number].append(epoch)
        self.rows[number] = replace(self.rows[number], score=epoch.score, metrics=dict(epoch.metrics))
        return True

    def finish(self, study: str, number: int, *, state: TrialState, **given: Any) -> bool:
        kept = {key: value for key, value in given.items() if key != "config"}
        row = self.rows[number] = replace(self.rows[number], state=state, finished_at=now(), **kept)
        score, best = row.score, self.best
        if state == "complete" and score is not None and (best is None or score > cast(float, best.score)):
            self.best = row
        return True

    def set_state(self, study: str, state: str, reason: str | None = None) -> None:
        """Nobody looks."""


class _NoLedger:
    """Optuna's tables, which people look at and no decision does."""

    def __init__(self, *_: Any) -> None:
        self._next = 0

    def trials(self) -> list[Any]:
        return []

    unfinished = trials

    def start_after(self, number: int) -> None:
        self._next = number + 1

    def begin(self, params: Mapping[str, Any], distributions: Mapping[str, Any], attributes: Any) -> int:
        self._next += 1
        return self._next - 1

    def _nothing(self, *_: Any) -> None:
        """Nothing is kept."""

    report = mark = end = _nothing


@dataclass(frozen=True)
class Memory:
    """A study in memory and its store."""

    study: Study
    store: MemoryStore


def open_study(space: SearchSpace, n_train: int) -> Memory:
    """A new study of a space."""
    data = DataPaths(
        name="table", hash="0" * 64, classes=("one",), train_images="", train_annotations="", val_images="",
        val_annotations="", sizes=(96, 96), n_train=n_train, n_val=50, max_instances=20, object_sizes=(8, 16, 32),
    )  # fmt: skip
    record = StudyRecord(
        name=space.study, state="running", objective=space.objective.metric, at=space.objective.at, scale="tiny",
        identity={}, space_text="", data=data.model_dump(mode="json"), data_hash=data.hash, detections=100,
        adapted={}, work_dir="", budget={},
    )  # fmt: skip
    store = MemoryStore()
    with _without_ledger():
        return Memory(Study("sqlite://", cast(Store, store), record, space, data), store)


@contextlib.contextmanager
def _without_ledger() -> Iterator[None]:
    with mock.patch.object(followers, "Ledger", _NoLedger):
        yield
