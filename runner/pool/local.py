"""This machine's workers: one process a slot, started again when one dies, gone when this process goes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.machine import Slot

_MAX_DEATHS = 5  # of one slot without a finished minute; then something is wrong that a restart does not mend
_POLITE_SECONDS = 6.0
NODE_FAULT = 3  # exit code of runner.worker


@dataclass
class _Seat:
    slot: Slot
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    retired: bool = False
    fault: bool = field(default=False)


class LocalPool:
    """Starts and watches the workers of this machine. To be used from the thread that lives longest.

    The kernel ends a worker with the thread that started it (lifeline.py), so that must be the main one.

    Args:
        url: of the study server.
        token: handed over in the environment, where `ps` does not show it.
        owner: who runs the workers.
        slots: one worker each.
        log: file that takes what workers print; None for stderr.
        options: further words of every worker's command line.
    """

    def __init__(
        self,
        url: str,
        token: str,
        owner: str,
        slots: list[Slot],
        log: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._url, self._token, self._owner, self._log, self._options = url, token, owner, log, tuple(options)
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
        self._seats = [_Seat(slot, self._start(slot), time.monotonic()) for slot in slots]

    def tend(self) -> None:
        """Starts dead workers again; call it about once a second."""
        for seat in self._seats:
            code = seat.process.poll()
            if code is None or seat.retired:
                continue
            if code in (0, NODE_FAULT):
                seat.retired, seat.fault = True, code == NODE_FAULT
                continue
            seat.deaths = seat.deaths + 1 if time.monotonic() - seat.started < 60 else 1
            if seat.deaths >= _MAX_DEATHS:
                seat.retired = seat.fault = True
                continue
            seat.process, seat.started = self._start(seat.slot), time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether any worker still works."""
        return not all(seat.retired for seat in self._seats)

    @property
    def faulty(self) -> bool:
        """Whether a worker gave up because of this machine."""
        return any(seat.fault for seat in self._seats)

    def stop(self, polite: bool = True) -> None:
        """Ends all workers: SIGTERM lets them hand their trials back, SIGKILL follows."""
        running = [seat.process for seat in self._seats if seat.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM if polite else signal.SIGKILL)
        deadline = time.monotonic() + (_POLITE_SECONDS if polite else 2)
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for seat in self._seats:
            seat.retired = True

    def _start(self, slot: Slot) -> subprocess.Popen[bytes]:
        machine = slot.machine
        command = [
            sys.executable, "-m", "runner.worker", "--server", self._url, "--name", slot.name,
            "--owner", self._owner, "--device", "cpu" if slot.gpu is None else f"cuda:{slot.gpu}",
            "--threads", str(machine.threads), "--loader-workers", str(machine.loader_workers),
            "--parent", str(os.getpid()), *self._options,
        ]  # fmt: skip
        environment = {
            **os.environ,
            "SWEEP_TOKEN": self._token,
            "OMP_NUM_THREADS": str(machine.threads),
            # threads that wait for work should sleep: spinning ones halve the speed of a machine that is shared
            "OMP_WAIT_POLICY": "PASSIVE",
            "CUDA_VISIBLE_DEVICES": "" if slot.gpu is None else str(slot.gpu),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # NVML's order
        }
        with self._log.open("ab") if self._log else contextlib.nullcontext() as log:
            # a session of its own: the terminal's Ctrl-C reaches only us, who end the workers politely
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log or sys.stderr,
                stderr=log or sys.stderr,
                start_new_session=True,
            )
