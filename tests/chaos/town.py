"""A study server, its workers and their database as processes of this machine, each started again when it dies."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import ledger
import psutil
import standin
from desk import NUCLEI, SWEEP, alive
from postgres import Postgres
from proxy import Proxy
from resident import Resident

RUN = "CHAOS_RUN"  # every process of a town has it, with the town's own value
_HERE = Path(__file__).parent


@dataclass
class Plan:
    """How large a town is.

    Attributes:
        storage: URL of the database.
        work_dir: of the server, and of workers that share it.
        postgres: server of that database, where it is one.
        workers: how many; each reaches the server through a proxy of its own.
        script: what a worker runs.
        clock: whether server and workers live in clocks that can be changed.
        apart: folder of the workers' own folders, which share nothing with the server's; None where they share it.
    """

    folder: Path
    storage: str
    work_dir: Path
    postgres: Postgres | None = None
    workers: int = 4
    script: str = "standin_worker.py"
    epoch_seconds: float = 0.05
    clock: bool = False
    apart: Path | None = None


class Town:
    """Starts everything; `close` ends it.

    Attributes:
        book: what the trainers write (see `ledger`).
        clocks: files that hold the shift of the server's and the workers' clocks, by name; empty without a compiler.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.run, self.token = plan, uuid.uuid4().hex, secrets.token_urlsafe(32)
        self.book = ledger.Reader(plan.folder / "ledger.jsonl")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._library = plan.folder / "clock.so"
        self.clocks = self._clocks() if plan.clock and shutil.which("cc") else {}
        serve = [str(SWEEP), "serve", "--port", str(port), "--storage", plan.storage, "--work-dir", str(plan.work_dir)]
        self.server = self._resident("server", serve, "server")
        self.proxies = [Proxy(("127.0.0.1", port)) for _ in range(plan.workers)]
        self.workers = [self._worker(number, proxy) for number, proxy in enumerate(self.proxies)]

    def _worker(self, number: int, proxy: Proxy) -> Resident:
        name = f"w{number}"
        command = [sys.executable, str(_HERE / self.plan.script), "--server", proxy.url, "--name", name]
        command += ["--owner", "chaos", "--threads", "1"]
        if self.plan.apart:
            command += ["--work-dir", str(self.plan.apart / name), "--data-root", f"={NUCLEI.parent}"]
        return self._resident(name, command, "workers")

    def _resident(self, name: str, command: list[str], clock: str) -> Resident:
        environment = {
            RUN: self.run, "SWEEP_TOKEN": self.token, ledger.LEDGER: str(self.plan.folder / "ledger.jsonl"),
            standin.EPOCH: str(self.plan.epoch_seconds), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(_HERE), str(_HERE.parent.parent), os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        if clock in self.clocks:
            environment |= {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self.clocks[clock])}
        return Resident(name, command, environment, self.plan.folder / f"{name}.log")

    def _clocks(self) -> dict[str, Path]:
        build = ["cc", "-O2", "-shared", "-fPIC", "-o", str(self._library), str(_HERE / "clock.c")]
        subprocess.run(build, check=True)
        found = {name: self.plan.folder / f"{name}.clock" for name in ("server", "workers")}
        for path in found.values():
            path.write_text("0")
        return found

    def tend(self) -> None:
        """What a supervisor does."""
        for one in (self.server, *self.workers):
            one.tend()

    def ask(self, path: str) -> Any:
        """What the server answers, past the proxies; None while it does not."""
        try:
            answer = httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=5)
            return answer.json() if answer.status_code == httpx.codes.OK else None
        except httpx.HTTPError:
            return None

    def submit(self, space: Path) -> None:
        """Hands a study in, as people do; the server must run."""
        command = [str(SWEEP), "start", space.name, "--server", self.url, "--work-dir", "submitted"]
        environment = {**os.environ, "SWEEP_TOKEN": self.token, RUN: self.run}
        with subprocess.Popen(
            command, cwd=space.parent, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:  # fmt: skip
            assert process.stderr
            told = []
            for line in process.stderr:
                told.append(line)
                if " is at " in line:
                    process.send_signal(signal.SIGINT)  # which ends the watching
                    break
            else:
                raise AssertionError("".join(told))

    def left_over(self) -> list[psutil.Process]:
        """Processes of this town, wherever they hang."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(RUN) == self.run:
                    found.append(process)
        return alive(found)

    def end(self, seconds: float = 15) -> list[psutil.Process]:
        """Ends workers, then the server, politely; what is left over some seconds later."""
        for residents in (self.workers, [self.server]):
            for one in residents:
                one.signal(signal.SIGTERM)
            for one in residents:
                if one.process:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        one.process.wait(seconds)
        deadline = time.monotonic() + 10
        while (left := self.left_over()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def close(self) -> None:
        """Ends whatever still runs, at once."""
        for process in self.left_over():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for one in (self.server, *self.workers):
            if one.process:
                one.process.wait()
        for proxy in self.proxies:
            proxy.close()


@contextlib.contextmanager
def town(plan: Plan) -> Iterator[Town]:
    """A town; nothing of it is left afterwards."""
    found = Town(plan)
    try:
        yield found
    finally:
        found.close()
