"""Studies with made-up figures: a real database, real Optuna, nothing trained."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from results.records import TrialRecord, now
from results.store import Store
from runner.protocol import DataPaths, EpochReport, Lease, LeaseRequest, Result, Scale
from sweeps.leases.coordinator import Coordinator
from sweeps.space.loader import load
from sweeps.space.schema import SearchSpace
from sweeps.study.setup import open_study
from sweeps.study.study import Study

FOUR = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 2}
search: {model: [mask_rcnn, solov2], lr: [0.001, 0.0003]}
"""
READY = {"made_up": ""}  # the made-up data have no evidence
ASK = LeaseRequest(worker="w1", owner="Ann", device="cpu", ready=READY)
Figures = Callable[[int, int], float | None]


def figure(trial: int, epoch: int) -> float:
    """Another score for every trial and epoch."""
    return 0.1 + trial / 1000 + epoch / 10000


def data(digest: str = "ab" * 32) -> DataPaths:
    return DataPaths(
        name="made up", hash=digest, classes=("one",), train_images="", train_annotations="", val_images="",
        val_annotations="", sizes=(320, 256), n_train=10, n_val=4, max_instances=5, object_sizes=(8.0, 16.0, 32.0),
    )  # fmt: skip


@functools.cache
def tables() -> bytes:
    """A database with all tables and nothing in them: making them anew takes half a second each time."""
    with tempfile.TemporaryDirectory() as folder:
        source, copy = Path(folder) / "source.db", Path(folder) / "copy.db"
        with Store.open(f"sqlite:///{source}"):
            RDBStorage(f"sqlite:///{source}")
        with contextlib.closing(sqlite3.connect(source)) as one, contextlib.closing(sqlite3.connect(copy)) as other:
            one.backup(other)
        return copy.read_bytes()


@dataclass
class Bench:
    """A folder with a space and its database; a fresh one makes the tables itself.

    Attributes:
        url: of a database elsewhere.
        scale: of the study.
    """

    folder: Path
    text: str = FOUR
    fresh: bool = False
    data: DataPaths = field(default_factory=data)
    url: str | None = None
    scale: Scale = "tiny"

    @property
    def storage(self) -> str:
        return self.url or f"sqlite:///{self.folder / 'sweeps.db'}"

    def space(self, *overrides: str) -> SearchSpace:
        path = self.folder / "space.yaml"
        path.write_text(self.text, encoding="utf-8")
        return load(path, overrides, scale=lambda _: self.scale)

    @contextlib.contextmanager
    def study(self, *overrides: str, store: type[Store] = Store, workers_survive: bool = False) -> Iterator[Study]:
        """Starts the study, or goes on with it, as `sweep start` does."""
        space = self.space(*overrides)
        database = self.folder / "sweeps.db"
        if not database.exists() and not self.fresh and self.url is None:
            database.write_bytes(tables())
        with store.open(self.storage) as opened:
            record = open_study(opened, space, self.scale, self.data, self.folder / "work_dirs")
            yield Study(self.storage, opened, record, space, self.data, workers_survive)

    def optuna(self, name: str = "made_up") -> list[FrozenTrial]:
        """The trials as Optuna's tables have them, read anew."""
        storage = RDBStorage(self.storage)
        return storage.get_all_trials(storage.get_study_id_from_name(name))

    def dump(self) -> list[str]:
        """Everything in the database."""
        with contextlib.closing(sqlite3.connect(self.folder / "sweeps.db")) as database:
            return list(database.iterdump())


def train(coordinator: Coordinator, lease: Lease, figures: Figures = figure) -> None:
    """What a worker does with a lease, without a training; ends when it is pruned."""
    epochs = lease.combination.settings["epochs"]
    for epoch in range(len(lease.reported) + 1, epochs + 1):
        report = EpochReport(epoch=epoch, metrics={"segm_mAP": figures(lease.trial, epoch)}, seconds=1.0)
        if coordinator.report(lease.trial, lease.fence, report).action == "prune":
            coordinator.finish(lease.trial, lease.fence, result(outcome="pruned", reason="stopped by the pruner"))
            return
    coordinator.finish(lease.trial, lease.fence, result())


def run(coordinator: Coordinator, figures: Figures = figure, trials: int | None = None) -> list[int]:
    """Trains until nothing is left, or so many trials; their numbers, in order."""
    done: list[int] = []
    while trials is None or len(done) < trials:
        lease = coordinator.lease(ASK).lease
        if lease is None:
            break
        train(coordinator, lease, figures)
        done.append(lease.trial)
    return done


def record(number: int, assignment: dict[str, Any], **fields: Any) -> TrialRecord:
    """A trial as the store has it, running unless the fields say otherwise."""
    known: dict[str, Any] = dict.fromkeys(TrialRecord.__dataclass_fields__)
    known |= {"study": "made_up", "number": number, "state": "running", "optuna_params": assignment, "epochs": 2}
    return TrialRecord(**{**known, "created_at": now(), "metrics": {}, "retries": 0, **fields})


def result(**fields: Any) -> Result:
    return Result(**{"outcome": "complete", "parameters": 10, "seconds": 60.0, "config": "model = {}\n", **fields})
