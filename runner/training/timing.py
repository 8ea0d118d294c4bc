"""Asks a process of its own how long iterations take (`runner.training.measure`). Imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType
from typing import Self

from pydantic import BaseModel

from runner.machine import Slot
from runner.protocol import Lease


class Request(BaseModel):
    """What to time, on how many threads and loader workers."""

    lease: Lease
    threads: int
    loader_workers: int


class Answer(BaseModel):
    """Seconds of a training iteration and of a validation image; or why there are none.

    Attributes:
        start: seconds from the beginning of a trial to its first epoch.
        epoch: seconds that every epoch takes besides: starting the loaders, scoring, the checkpoint.
        device: the GPU, or the model of the CPU.
    """

    start: float = 0.0
    epoch: float = 0.0
    iteration: float = 0.0
    image: float = 0.0
    device: str = ""
    error: str | None = None

    def line(self) -> str:
        """As it is sent."""
        return self.model_dump_json() + "\n"


class Timer:
    """Times trainings one after the other in one warm process; use as a context manager.

    Args:
        slot: the place that a training would have.
    """

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def time(self, lease: Lease) -> Answer:
        """Times a few iterations; a process that dies over it is an answer as well, and the next one is new."""
        machine = self._slot.machine
        request = Request(lease=lease, threads=machine.threads, loader_workers=machine.loader_workers)
        process = self._process = self._process or self._start()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(request.model_dump_json() + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return Answer.model_validate_json(line)
        code = process.wait()
        self._end()
        return Answer(error=f"its process ended with code {code}; is there memory enough?")

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runner.training.measure", str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **self._slot.environment},
        )  # fmt: skip

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None
