"""A process that somebody looks after."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import ledger
import psutil
from desk import alive

from runner.lifeline import die_with_parent

_RESTART_SECONDS = 0.3  # between a death and the supervisor's answer


@dataclass
class Resident:
    """A process with a supervisor.

    Attributes:
        command: starts it.
        environment: of its own, beside the town's.
        log: what it prints.
        starts: how often it was started.
        due: when it is started again; None while it runs.
        left: exit code and moment of each end that no signal brought about.
        killed: whether a fault has killed it.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    due: float | None = 0.0
    left: list[tuple[int, float]] = field(default_factory=list)
    killed: bool = False

    @property
    def incarnation(self) -> str:
        """Its name and how often it was started, e.g. ``w0.3``."""
        return f"{self.name}.{self.starts}"

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        assert self.process
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Starts it; it ends with this process."""
        self.starts, self.due, self.killed = self.starts + 1, None, False
        parent = os.getpid()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SWEEP_")}
        environment |= self.environment | {ledger.WORKER: self.incarnation}
        with self.log.open("ab") as log:
            log.write(f"-- {self.incarnation}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=lambda: die_with_parent(parent),
            )  # fmt: skip

    def tend(self) -> None:
        """Starts it again a moment after it has ended."""
        if self.due is not None:
            if time.monotonic() >= self.due:
                self.start()
        elif not self.running:
            assert self.process
            if not self.killed:
                self.left.append((self.process.returncode, time.monotonic()))
            self.due = time.monotonic() + _RESTART_SECONDS

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if it runs."""
        self.killed = self.killed or number == signal.SIGKILL
        if self.running:
            os.kill(self.pid, number)

    def trainers(self) -> list[psutil.Process]:
        """The trainings of a worker: leaders of process groups below its fork server."""
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            below = alive(psutil.Process(self.pid).children(recursive=True))
            return [p for p in below if p.pid == os.getpgid(p.pid) != self.pid]
        return []
