"""This machine's workers: one process a slot, started again when one dies, gone when this process goes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.machine import Slot, cores, share
from runner.pool.gpus import choose, found
from runner.pool.telling import Receiver
from runner.pool.workers import Capacity, Worker, surplus
from runner.worker.interrupts import LEAVE, STOP

_MAX_DEATHS = 5  # of one slot without a finished minute; then something is wrong that a restart does not mend
_POLITE_SECONDS = 6.0
NODE_FAULT, LEFT = 3, 4  # exit codes of runner.worker.agent


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
        auto: each GPU has one slot to begin with; after its first trial as many as its memory has room for, by the
            largest that a training took.
    """

    def __init__(
        self,
        url: str,
        token: str,
        owner: str,
        slots: Sequence[Slot],
        log: Path | None = None,
        options: Sequence[str] = (),
        auto: bool = False,
    ) -> None:
        self._url, self._token, self._owner, self._log, self._options = url, token, owner, log, tuple(options)
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
        cards = choose(found(), [slot.gpu for slot in slots if slot.gpu]) if auto else []
        self._capacity = Capacity({name: gpu.memory_mb for name, gpu in cards if gpu}, int(cores()))
        self._workers = [self._worker(slot, slot.gpu in self._capacity.memory) for slot in slots]

    def tend(self) -> None:
        """Hears every worker, starts dead ones again, follows what GPUs have room for; call it about once a second."""
        for worker in self._workers:
            self._hear(worker)
            code = worker.process.poll()
            if code is not None and not worker.retired:
                self._hear(worker)
                self._ended(worker, code)
        for gpu in self._capacity.memory:
            self._fit(gpu)

    @property
    def alive(self) -> bool:
        """Whether any worker still works."""
        return not all(worker.retired for worker in self._workers)

    @property
    def faulty(self) -> bool:
        """Whether a worker gave up because of this machine."""
        return bool(self.faults)

    @property
    def faults(self) -> list[str]:
        """Why workers gave up, one line each."""
        return [f"{worker.slot.name}: {worker.fault}" for worker in self._workers if worker.fault]

    def stop(self, polite: bool = True, preempted: bool = False) -> None:
        """Ends all workers within 8 seconds: they hand their trials back, or are killed.

        Args:
            polite: let them hand back.
            preempted: whether the machine is being taken away, which the trials' records then say.
        """
        number = (signal.SIGTERM if preempted else STOP) if polite else signal.SIGKILL
        running = [worker.process for worker in self._workers if worker.process.poll() is None]
        for process in running:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # one that was stopped could not end politely
        deadline = time.monotonic() + (_POLITE_SECONDS if polite else 2)
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for worker in self._workers:
            worker.retired = True

    def _hear(self, worker: Worker) -> None:
        for told in worker.receiver.receive():
            worker.said = told.fault or worker.said
            if worker.slot.gpu in self._capacity.memory:
                self._capacity.learn(str(worker.slot.gpu), told, worker.slot.sharing)

    def _ended(self, worker: Worker, code: int) -> None:
        if code == LEFT and worker.probe and self._capacity.slots(str(worker.slot.gpu)) is None:
            self._again(worker)  # its trial failed: nothing is known of what one takes
        elif code in (0, LEFT):
            worker.retired = True
        elif code == NODE_FAULT:
            self._give_up(worker, worker.said or "it gave up; see its log")
        else:
            worker.deaths = worker.deaths + 1 if time.monotonic() - worker.started < 60 else 1
            if worker.deaths >= _MAX_DEATHS:
                self._give_up(worker, f"its worker died {_MAX_DEATHS} times at once, the last time by exit code {code}")
            else:
                self._again(worker)

    def _give_up(self, worker: Worker, why: str) -> None:
        worker.retired, worker.fault = True, why

    def _fit(self, gpu: str) -> None:
        """Starts or ends workers of a GPU until it has as many as there is room for."""
        wanted = self._capacity.slots(gpu)
        here = [worker for worker in self._workers if worker.slot.gpu == gpu]
        if wanted is None or not any(worker.probe for worker in here):
            for worker in surplus(here, wanted or len(here)):
                worker.leaving = True
                worker.process.send_signal(LEAVE)
            return
        if all(worker.retired for worker in here) and here[-1].process.returncode == LEFT:  # the probe is done
            first = here[0].slot
            machine = share(wanted * len(self._capacity.memory), True)
            for number in range(wanted):
                name = f"{first.name.rsplit('-', 1)[0]}-{number}"
                self._workers.append(self._worker(replace(first, name=name, machine=machine, sharing=wanted)))
            for worker in here:
                worker.probe = False

    def _worker(self, slot: Slot, probe: bool = False) -> Worker:
        receiver = Receiver()
        return Worker(slot, self._start(slot, receiver, probe), receiver, time.monotonic(), probe=probe)

    def _again(self, worker: Worker) -> None:
        worker.receiver, worker.said = Receiver(), None
        worker.process, worker.started = self._start(worker.slot, worker.receiver, worker.probe), time.monotonic()

    def _start(self, slot: Slot, receiver: Receiver, probe: bool) -> subprocess.Popen[bytes]:
        machine = slot.machine
        command = [
            sys.executable, "-m", "runner.worker.agent", "--server", self._url, "--name", slot.name,
            "--owner", self._owner, "--device", "cpu" if slot.gpu is None else f"cuda:{slot.gpu}",
            "--threads", str(machine.threads), "--loader-workers", str(machine.loader_workers),
            "--sharing", str(slot.sharing), "--tell", str(receiver.descriptor), "--parent", str(os.getpid()),
            *(["--trials", "1"] if probe else []), *self._options,
        ]  # fmt: skip
        environment = {**os.environ, **slot.environment, "SWEEP_TOKEN": self._token}
        with self._log.open("ab") if self._log else contextlib.nullcontext() as log:
            # a session of its own: the terminal's Ctrl-C reaches only us, who end the workers politely
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log or sys.stderr,
                stderr=log or sys.stderr,
                pass_fds=(receiver.descriptor,),
                start_new_session=True,
            )
        receiver.started()
        return process
