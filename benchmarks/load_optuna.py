"""Optuna's own ways in the load benchmark: every worker asks and tells by itself, with the random sampler."""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import random
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil
from load_crew import Load, Outcome, Timer, crew
from load_ours import FIGURES

optuna.logging.set_verbosity(optuna.logging.WARNING)
MODELS = ["mask_rcnn", "cascade_mask_rcnn", "ms_rcnn", "htc", "scnet", "solov2"]


@dataclass(frozen=True)
class Way:
    """One of Optuna's storages.

    Attributes:
        where: URL of the database, path of the journal, or port of the proxy.
        behind: URL of the database behind a proxy.
    """

    name: str
    kind: str
    where: str
    behind: str = ""

    def storage(self) -> Any:
        """A storage of a worker's own."""
        if self.kind == "journal":
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend

            return JournalStorage(JournalFileBackend(self.where))
        if self.kind == "grpc":
            from optuna.storages import GrpcStorageProxy

            return GrpcStorageProxy(host="127.0.0.1", port=int(self.where))
        return _rdb(self.where)


def _rdb(url: str) -> optuna.storages.RDBStorage:
    # as patient as SQLite lets one be; the pool of 5 + 10 connections is each worker's own
    arguments = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_size": 1}
    return optuna.storages.RDBStorage(url, engine_kwargs=arguments)


def ways(url: Callable[[str], str], folder: Path) -> list[Way]:
    """All of them on databases of their own."""
    kind = "PostgreSQL" if url("probe").startswith("postgresql") else "SQLite"
    found = [
        Way(f"Optuna, {kind} from every worker", "rdb", url("rdb")),
        Way("Optuna, JournalStorage", "journal", str(folder / "journal.log")),
    ]
    if importlib.util.find_spec("grpc"):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        found.append(Way(f"Optuna, gRPC proxy, {kind}", "grpc", str(port), url("grpc")))
    return found


def run(way: Way, load: Load) -> Outcome:
    """Lets the crew work, checks what the storage holds."""
    with _proxy(way) as process:
        study = optuna.create_study(storage=way.storage(), study_name="load", direction="maximize")
        seconds, times, errors = crew(load, work, {"way": way, "trials": load.trials, "reports": load.reports})
        server = process and psutil.Process(process.pid)
        rss, cpu = (server.memory_info().rss / 2**20, sum(server.cpu_times()[:2])) if server else (None, None)
        for error in errors[:3]:
            print("error:", error)
        trials = study.get_trials(deepcopy=False)
    good = [t for t in trials if t.state.name == "COMPLETE" and len(t.intermediate_values) == load.reports]
    return Outcome(way.name, load.trials, seconds, times, rss, cpu, len(errors), abs(load.trials - len(good)))


def work(timer: Timer, numbers: random.Random, told: dict[str, Any], member: int) -> None:
    """One worker: asks, reports, tells, until there are enough trials."""
    sampler = optuna.samplers.RandomSampler(seed=member)
    study = optuna.load_study(study_name="load", storage=told["way"].storage(), sampler=sampler)

    def ask() -> optuna.Trial:
        trial = study.ask()
        if trial.number < told["trials"]:
            trial.suggest_categorical("model", MODELS)
            trial.suggest_float("lr", 0.0001, 0.1, log=True)
            trial.suggest_categorical("batch_size", [1, 2, 3, 4])
        return trial

    def end(trial: optuna.Trial, value: float) -> None:
        for name in FIGURES:  # what our store keeps of a trial
            trial.set_user_attr(name, value)
        study.tell(trial, value)

    while (trial := timer("ask", ask)).number < told["trials"]:
        base = numbers.random()
        for epoch in range(1, told["reports"] + 1):
            timer("report", trial.report, base + epoch / 100, epoch)
        timer("end", end, trial, base)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


@contextlib.contextmanager
def _proxy(way: Way) -> Iterator[Any]:
    if way.kind != "grpc":
        yield None
        return
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(way,))
    process.start()
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(way.where))):
                break
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.join()


def _serve(way: Way) -> None:
    optuna.storages.run_grpc_proxy_server(_rdb(way.behind), host="127.0.0.1", port=int(way.where))
