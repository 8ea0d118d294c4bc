"""What one slot of this machine gives to a training. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path


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
    """One place where a trial can train: a GPU (by NVML index), or a share of the CPU."""

    name: str
    gpu: int | None
    machine: Machine


def gpus() -> list[str]:
    """Names of the GPUs that NVML shows, by index; empty without driver or GPU, or if torch is its CPU build."""
    import pynvml

    if "+cpu" in importlib.metadata.version("torch"):
        return []

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


def cpu_name() -> str:
    """The CPU's model as the kernel names it: digits can differ between models."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def slots(workers: int | None, gpu_count: int) -> list[Slot]:
    """Shares this machine out: one slot a GPU, or the CPU cores split between `workers` (default 1).

    With GPUs each slot's share of the cores loads images, up to four processes; a CPU training loads them itself,
    since its threads want every core.
    """
    cores = len(os.sched_getaffinity(0))
    count = workers or gpu_count or 1
    share = max(1, cores // count)
    if gpu_count:
        loaders = max(1, min(4, share - 1))
        return [Slot(f"gpu{i % gpu_count}-{i}", i % gpu_count, Machine(share, loaders)) for i in range(count)]
    return [Slot(f"cpu-{i}", None, Machine(share, 0)) for i in range(count)]
