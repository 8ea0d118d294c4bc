"""The workers of a pool, and how many of them a GPU has room for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runner.machine import Slot
from runner.pool.gpus import auto_slots
from runner.pool.telling import Receiver, Told


@dataclass
class Worker:
    """One worker.

    Attributes:
        started: when, in seconds of a monotonic clock.
        deaths: of its processes that did not work for a minute.
        probe: it trains one trial alone on its GPU, so that its memory can be measured.
        leaving: it was told to end after its trial.
        retired: it works no more.
        fault: why it gave up, None if it did not.
    """

    slot: Slot
    process: subprocess.Popen[bytes]
    receiver: Receiver
    started: float
    deaths: int = 0
    probe: bool = False
    leaving: bool = False
    retired: bool = False
    fault: str | None = None
    said: str | None = None  # the last fault it told, until it ends


@dataclass
class Capacity:
    """How many trainings each GPU has room for, learned from what they took.

    Args:
        memory: GPU -> MiB in all.
        cores: of the machine.
    """

    memory: Mapping[str, float]
    cores: int
    peaks: dict[str, float] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    def learn(self, gpu: str, told: Told, sharing: int) -> None:
        """Takes what a worker told: the largest peak counts, and as many as ran short together are too many."""
        if told.peak_mb:
            self.peaks[gpu] = max(self.peaks.get(gpu, 0.0), told.peak_mb)
        if told.short and sharing > 1:
            self.most[gpu] = min(self.most.get(gpu, sharing), sharing - 1)

    def slots(self, gpu: str) -> int | None:
        """How many slots the GPU should have; None while nothing is known."""
        if gpu not in self.peaks:
            return None
        fit = auto_slots(self.memory[gpu], self.peaks[gpu], self.cores, len(self.memory))
        return min(fit, self.most.get(gpu, fit))


def surplus(workers: Sequence[Worker], wanted: int) -> Iterable[Worker]:
    """Who should leave so that `wanted` stay: the last ones."""
    staying = [worker for worker in workers if not (worker.retired or worker.leaving)]
    return staying[wanted:]
