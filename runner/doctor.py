"""What this machine can train with, and what is wrong with it; for `sweep doctor`.

Nothing heavy is imported before a check needs it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from runner.machine import cores

PROJECT = "sweep"
PACKAGES = (
    "torch",
    "mmengine",
    "mmcv",
    "mmdet",
    "optuna",
    "pycocotools",
    "sqlalchemy",
    "pandas",
    "opencv-python",
)
GIB = 1024**3
NO_GPU = "GPUs"
REINSTALL = "run docker/setup.sh"
REBUILD = "run docker/setup.sh --rebuild"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        found: what is there.
        problem: what is wrong and what to do about it, in one line; None when all is well.
    """

    name: str
    found: str
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.problem is None


def versions() -> Iterator[Check]:
    """The versions of Python and the packages, against what the project asks for."""
    found = ".".join(map(str, sys.version_info[:3]))
    old = "needs Python 3.11 or newer: remove .venv, then PYTHON=python3.11 docker/setup.sh"
    yield Check("python", found, old if sys.version_info < (3, 11) else None)
    wanted = _wanted()
    for name in PACKAGES:
        yield version(name, wanted.get(name, ""))


def version(name: str, wanted: str = "") -> Check:
    """The installed version of a package.

    Args:
        name: its name, as pip knows it.
        wanted: the versions that the project allows ("==2.13.0"); "" allows all.
    """
    from packaging.specifiers import SpecifierSet

    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "not installed", REINSTALL)
    if SpecifierSet(wanted).contains(found, prereleases=True):
        return Check(name, found)
    return Check(name, found, f"the project needs {name}{wanted}: {REINSTALL}")


def _wanted() -> dict[str, str]:
    """Package name -> the versions that the project's own metadata allow; empty if it is not installed."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(PROJECT) or []
    except metadata.PackageNotFoundError:
        return {}
    requirements = [Requirement(line) for line in lines]
    return {
        each.name: str(each.specifier)
        for each in requirements
        if not each.marker or each.marker.evaluate({"extra": "train"})
    }


def opencv() -> Check:
    """Whether OpenCV can be loaded; its wheel links libraries that a server often lacks."""
    try:
        import cv2
    except ImportError as error:
        return Check("opencv loads", "no", f"{_line(error)}: apt-get install libgl1 libglib2.0-0")
    return Check("opencv loads", f"yes, {cv2.getNumberOfCPUs()} CPUs")


def ops() -> Iterator[Check]:
    """Whether mmcv's compiled operations run on the CPU, and on the GPU if torch has one."""
    yield operation("cpu")
    try:
        import torch
    except (ImportError, OSError):
        return
    if torch.cuda.is_available():
        yield operation("cuda")


def operation(device: str) -> Check:
    """Whether one of mmcv's compiled operations runs.

    Args:
        device: "cpu" or "cuda"; a tiny non-maximum suppression runs there.
    """
    name = f"mmcv ops ({device})"
    try:
        import torch
        from mmcv.ops import nms

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]], device=device)
        scores = torch.tensor([0.9, 0.8], device=device)
        kept = nms(boxes, scores, 0.5)[1].tolist()
    except (ImportError, OSError, RuntimeError, AssertionError) as error:
        return Check(name, "do not run", f"{_line(error)}: {REBUILD}")
    wrong = None if kept == [0] else f"suppression kept boxes {kept}, not [0]: {REBUILD}"
    return Check(name, "run" if wrong is None else "wrong", wrong)


def gpus() -> list[Check]:
    """The GPUs that NVML, the driver's library, shows: name, memory, driver; or a line that says why none."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return [Check(NO_GPU, "none: no NVIDIA driver; trainings run on the CPU")]
    except pynvml.NVMLError as error:
        return [Check(NO_GPU, "unknown", f"the NVIDIA driver does not answer ({_line(error)}): restart or update it")]
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(each) for each in range(pynvml.nvmlDeviceGetCount())]
        shown = [
            f"{pynvml.nvmlDeviceGetName(each)}, {pynvml.nvmlDeviceGetMemoryInfo(each).total / GIB:.1f} GiB, "
            f"driver {driver}"
            for each in handles
        ]
    except pynvml.NVMLError as error:
        return [Check(NO_GPU, "unknown", f"the NVIDIA driver answers with an error ({_line(error)}): update it")]
    finally:
        pynvml.nvmlShutdown()
    none = [Check(NO_GPU, "none: trainings run on the CPU")]
    return [Check(f"GPU {number}", each) for number, each in enumerate(shown)] or none


def cuda(present: int) -> Check:
    """Whether torch sees the GPUs that the driver shows.

    Args:
        present: how many GPUs the driver shows.
    """
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch.cuda", "torch cannot be imported", f"{_line(error)}: {REINSTALL}")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return agreement(present, torch.cuda.device_count(), torch.__version__, torch.version.cuda, visible)


def agreement(present: int, usable: int, torch: str, built: str | None, visible: str | None) -> Check:
    """What to say of the GPUs present and those that torch can use.

    Args:
        present: how many GPUs the driver shows.
        usable: how many torch can use.
        torch: its version.
        built: the CUDA version torch was built for; None for the CPU alone.
        visible: CUDA_VISIBLE_DEVICES, None where it is not set.
    """
    build = f"CUDA {built}" if built else "CPU build"
    found = f"{usable} of {present} GPUs (torch {torch}, {build})"
    if present and not built:
        index = "remove .venv and run docker/setup.sh where pip finds a torch with CUDA"
        return Check("torch.cuda", found, f"torch is built for the CPU alone, the GPUs stay idle: {index}")
    if visible is not None:
        return Check("torch.cuda", f"{found}, CUDA_VISIBLE_DEVICES={visible}")
    if usable < present:
        return Check("torch.cuda", found, f"torch cannot use every GPU: update the driver to one for CUDA {built}")
    return Check("torch.cuda", found)


def disk(name: str, folder: Path, needed: float) -> Check:
    """Whether a folder, or the nearest one above it that exists, can be written and has room.

    Args:
        name: what the folder is for.
        folder: it need not exist.
        needed: GiB that should be free.
    """
    folder = folder.absolute()
    place = next(each for each in (folder, *folder.parents) if each.exists())
    if not place.is_dir():
        return Check(name, str(place), f"{place} is a file: name another folder")
    free = shutil.disk_usage(place).free / GIB
    found = f"{free:.1f} GiB free in {place}"
    if not os.access(place, os.W_OK | os.X_OK):
        return Check(name, found, f"{place} is read-only: name another folder, or change its rights")
    if free < needed:
        return Check(name, found, f"less than {needed:g} GiB free: make room, or name another folder")
    return Check(name, found)


def machine() -> Iterator[Check]:
    """Cores, memory and shared memory, as far as a container's limits let us use them."""
    import psutil

    yield Check("CPU cores", f"{cores():g}")
    memory = min(psutil.virtual_memory().total, _number("/sys/fs/cgroup/memory.max") or sys.maxsize) / GIB
    little = "less than 4 GiB: a trial may be killed; close other programs, or train fewer at once: --workers 1"
    yield Check("memory", f"{memory:.1f} GiB", little if memory < 4 else None)
    yield shared_memory(Path("/dev/shm"))


def shared_memory(folder: Path, needed: float = 1.0) -> Check:
    """Room for the batches that loader processes hand to the trainer.

    Args:
        folder: where the system keeps shared memory.
        needed: GiB; Docker's default of 64 MiB ends a training with "bus error".
    """
    name = "shared memory"
    if not folder.is_dir():
        return Check(name, f"no {folder}")
    size = shutil.disk_usage(folder).total / GIB
    problem = f"{folder} holds less than {needed:g} GiB: docker run --shm-size=8g (or --ipc=host)"
    return Check(name, f"{size:.2f} GiB", problem if size < needed else None)


def _number(file: str, word: int = 0) -> int | None:
    """A number of a cgroup file; None where there is no such file or no limit ("max")."""
    try:
        return int(Path(file).read_text().split()[word])
    except (OSError, ValueError, IndexError):
        return None


def _line(error: BaseException) -> str:
    """The first line of what went wrong, without the full stop that the advice would follow."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")
