"""What one slot of this machine gives to a training. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_ONLY = "cpu-only"  # docker/setup.sh leaves it in .venv where mmcv was built without CUDA on purpose


@dataclass(frozen=True)
class Machine:
    """Threads and loader workers are part of a training's digits, hence recorded with it.

    Attributes:
        threads: CPU threads of torch.
        loader_workers: processes that load images.
    """

    threads: int
    loader_workers: int


@dataclass(frozen=True)
class Slot:
    """One place where a trial can train: a GPU (as CUDA_VISIBLE_DEVICES names it), or a share of the CPU.

    Attributes:
        sharing: how many slots are on its GPU.
    """

    name: str
    gpu: str | None
    machine: Machine
    sharing: int = 1

    @property
    def environment(self) -> dict[str, str]:
        """What a process has in its environment that trains here."""
        return {
            "OMP_NUM_THREADS": str(self.machine.threads),
            # threads that wait for work should sleep: spinning ones halve the speed of a machine that is shared
            "OMP_WAIT_POLICY": "PASSIVE",
            "CUDA_VISIBLE_DEVICES": self.gpu or "",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # NVML's order
        }


def gpus() -> list[str]:
    """The GPUs to use, as CUDA_VISIBLE_DEVICES names them: all that NVML shows, or those that variable allows.

    Empty without driver or GPU, where torch or mmcv's ops were built for the CPU, and where nothing can train.

    Raises:
        UserError: that variable begins with what is no GPU of this machine.
    """
    from runner.pool.gpus import allowed, found

    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:  # the extra `train` is not installed
        return []
    if "+cpu" in torch or (Path(sys.prefix) / CPU_ONLY).exists():
        return []
    return allowed(found(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def cores() -> float:
    """CPU cores that this process may use; a container's share may be a fraction."""
    count = float(len(os.sched_getaffinity(0)))
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        return min(count, int(limit) / int(period))
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        return count


def cpu_name() -> str:
    """The CPU's model as the kernel names it: digits can differ between models."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def device() -> str:
    """What trains here, as the drivers name it: the first GPU to use, else the CPU."""
    from runner.pool.gpus import model

    found = gpus()
    return model(found[0]) if found else cpu_name()


def slots(workers: int | None, found: Sequence[str], per_gpu: int = 1) -> list[Slot]:
    """Shares this machine out: so many slots a GPU, or the CPU cores split between `workers` (default 1).

    Args:
        workers: slots in all; None for `per_gpu` on each GPU.
        found: the GPUs.
        per_gpu: slots on each.
    """
    count = workers or len(found) * per_gpu or 1
    if not found:
        return [Slot(f"cpu-{i}", None, share(count, False)) for i in range(count)]
    on = [sum(1 for i in range(count) if i % len(found) == gpu) for gpu in range(len(found))]
    return [
        Slot(f"gpu{found[i % len(found)]}-{i}", found[i % len(found)], share(count, True), on[i % len(found)])
        for i in range(count)
    ]


def share(count: int, gpu: bool) -> Machine:
    """What each of `count` slots gets of this machine's cores.

    With a GPU they load images, up to four processes; a CPU training loads them itself, since its threads want every
    core.
    """
    threads = max(1, int(cores()) // count)
    return Machine(threads, max(1, min(4, threads - 1)) if gpu else 0)
