"""Our way in the load benchmark: the study server, a process of its own; workers talk HTTP to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from load_crew import Load, Outcome, Timer, crew

from results.store import Store
from runner.protocol import EpochReport, Lease, LeaseRequest, Result
from runner.wire.client import Client, LeaseLostError

TOKEN = "load"
SPACE = """\
study: load
data: demo
scale: tiny
fixed: {{epochs: {reports}}}
search:
  model: [mask_rcnn, cascade_mask_rcnn, ms_rcnn, htc, scnet, solov2]
  lr: {{float: [0.0001, 0.1], log: true}}
  batch_size: [1, 2, 3, 4]
sampler: {{kind: {sampler}}}
pruner: {{kind: none}}
budget: {{trials: {trials}}}
"""
FIGURES = ("segm_mAP", "segm_mAP_50", "segm_mAP_75", "segm_mAP_s", "segm_mAP_m", "segm_mAP_l", "bbox_mAP")


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[Callable[[str], str]]:
    """Makes new databases by name; their URLs."""
    if kind == "sqlite":
        yield lambda name: f"sqlite:///{folder / name}.db"
        return
    from postgres import Postgres

    server = Postgres(durable=True)
    try:
        server.start()
        yield lambda _: server.database()
    finally:
        server.remove()


def run(url: str, load: Load, folder: Path, sampler: str) -> Outcome:
    """Starts the server, lets the crew work, checks what the store holds."""
    folder.mkdir(exist_ok=True)
    space = folder / "load.yaml"
    space.write_text(SPACE.format(reports=load.reports, trials=load.trials, sampler=sampler))
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(url, space, there))
    server.start()
    there.close()  # a server that can't start is an EOFError here
    address = here.recv()
    peak, over = [0.0, 0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(psutil.Process(server.pid), peak, over))
    before = sum(psutil.Process(server.pid).cpu_times()[:2])
    watcher.start()
    seconds, times, errors = crew(load, work, {"url": address, "reports": load.reports})
    over.set()
    watcher.join()
    here.send("end")
    server.join()
    for error in errors[:3]:
        print("error:", error)
    kind = "PostgreSQL" if url.startswith("postgresql") else "SQLite"
    return Outcome(f"sweep serve, {kind}, {sampler}", load.trials, seconds, times, peak[0], peak[1] - before,
                   len(errors), wrong(url, load))  # fmt: skip


def wrong(url: str, load: Load) -> int:
    """How many trials are not as they should be: complete, one attempt, every report once."""
    with Store.open(url, readonly=True) as store:
        rows, scores = store.trials("load"), store.scores("load")
    whole = set(range(1, load.reports + 1))
    good = [row for row in rows if row.state == "complete" and row.attempts == 1 and set(scores[row.number]) == whole]
    params = {str(sorted(row.optuna_params.items())) for row in rows}
    return abs(load.trials - len(good)) + len(rows) - len(params)


def serve(url: str, space: Path, pipe: Any) -> None:
    """The server's process: tells its address, ends when it is told to."""
    from made_up import data

    from sweeps.leases.coordinator import Coordinator
    from sweeps.server.app import Server, create_app
    from sweeps.server.registry import Registry
    from sweeps.space.loader import load as read
    from sweeps.study.setup import open_study
    from sweeps.study.study import Study

    searched = read(space, ())
    with Store.open(url) as store:
        record = open_study(store, searched, "tiny", data(), space.parent / "work_dirs")
        registry = Registry()
        registry.add(Coordinator(Study(url, store, record, searched, data())))
        with Server(create_app(registry, TOKEN)) as server:
            pipe.send(server.url)
            while not pipe.poll(1.0):
                registry.tick()


def work(timer: Timer, numbers: random.Random, told: dict[str, Any], member: int) -> None:
    """One worker: trains nothing, reports everything."""
    ask = LeaseRequest(worker=f"w{member}", owner="load", device="cpu")
    with Client(told["url"], TOKEN) as client:
        while True:
            try:
                reply = timer("ask", client.lease, ask)
                if reply.needs:
                    ask = ask.model_copy(update={"ready": {reply.needs.study: reply.needs.proof()}})
                elif reply.lease:
                    _train(timer, client, reply.lease, told["reports"], numbers.random())
                elif reply.wait:
                    time.sleep(0.2)
                else:
                    return
            except (httpx.TransportError, LeaseLostError) as error:  # as a real worker, it asks again
                timer.errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.5)


def _train(timer: Timer, client: Client, lease: Lease, reports: int, base: float) -> None:
    for epoch in range(1, reports + 1):
        report = EpochReport(epoch=epoch, metrics=dict.fromkeys(FIGURES, base + epoch / 100), seconds=1.0)
        timer("report", client.report, lease, report)
    timer("end", client.finish, lease, Result(outcome="complete", seconds=float(reports), config="model = {}\n"))


def _watch(process: psutil.Process, peak: list[float], over: threading.Event) -> None:
    while not over.wait(0.2):
        peak[0] = max(peak[0], process.memory_info().rss / 2**20)
        peak[1] = sum(process.cpu_times()[:2])
