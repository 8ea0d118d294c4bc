"""Tells the failures of a training apart, by what it raised. What becomes of them the server decides."""

from __future__ import annotations

import errno
import os
import re
import traceback
from pathlib import Path

import filelock
import torch

from runner.errors import DISK, UserError
from runner.paths import TrialPaths
from runner.plugins.report import NonFiniteLossError
from runner.protocol import Failure, Lease, Note, Result
from runner.training.readable import DataError
from runner.training.weights import cache
from runner.userparts import PluginChangedError
from runner.worker.oomkills import oom_kills

_NO_MEMORY = re.compile(
    r"CUDA (error: )?out of memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED|DefaultCPUAllocator: (can't allocate|not enough)"
    r"|MemoryError|\(-4:Insufficient memory\)|Cannot allocate memory"
)
# a card, driver or shared memory that no trial can train with
_NODE = re.compile(
    r"No CUDA GPUs are available|CUDA driver initialization failed|Found no NVIDIA driver|uncorrectable ECC|GPU is lost"
    r"|CUDA-capable device\(s\) is/are busy or unavailable|system not yet initialized|out of shared memory"
)
_ASKED = re.compile(r"tried to allocate (\d+) bytes")
_LOADER_DIED = re.compile(r"DataLoader worker .*(exited unexpectedly|is killed by signal)")


def explain(error: Exception, lease: Lease, paths: TrialPaths, kills_before: int | None) -> Note:
    """The last note of a training that raised: whose fault it was, in one line.

    Args:
        error: what it raised.
        lease: what was trained.
        paths: where.
        kills_before: `oom_kills` when it began.
    """
    if isinstance(error, filelock.Timeout):  # an OSError too, so it comes first
        return _node(f"{paths.folder}: another trainer still writes here")
    if isinstance(error, PluginChangedError):  # a UserError too; no other trial can train here either
        return _node(str(error))
    if isinstance(error, OSError) and error.errno in DISK:
        return _node(_disk(error, paths))
    text, line = str(error), _line(error)
    if not isinstance(error, (UserError, NonFiniteLossError)):
        traceback.print_exception(error)
    if out_of_memory(error) or (_LOADER_DIED.search(text) and oom_kills() != kills_before):
        return _ended("out_of_memory", _memory(text, line))
    if _NODE.search(text):
        return _node(line)
    if isinstance(error, NonFiniteLossError):
        return _ended("nan_loss", line)
    if isinstance(error, UserError):
        return _ended("code_error", line)
    see = f"{line}; see {paths.log}"
    if isinstance(error, DataError) or _of_the_data(error, lease):
        return _ended("data_error", see)
    return _ended("crashed" if _LOADER_DIED.search(text) else "code_error", f"{_name(error)}: {see}")


def out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, on the GPU or for the process, here or in a loader worker."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return bool(_NO_MEMORY.search(str(error)))


def _of_the_data(error: Exception, lease: Lease) -> bool:
    """Whether a file of the data could not be read."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str | os.PathLike):
        return False
    data, path = lease.data, Path(error.filename)
    files = (data.train_annotations, data.val_annotations)
    return str(path) in files or any(path.is_relative_to(f) for f in (data.train_images, data.val_images))


def _ended(failure: Failure, reason: str) -> Note:
    outcome = "infeasible" if failure == "out_of_memory" else "failed"
    return Note(kind="result", result=Result.model_validate({"outcome": outcome, "failure": failure, "reason": reason}))


def _node(reason: str) -> Note:
    return Note(kind="node_fault", reason=reason)


def _disk(error: OSError, paths: TrialPaths) -> str:
    what = os.strerror(error.errno) if error.errno else str(error)
    if error.filename and Path(error.filename).is_relative_to(cache()):
        return f"{error.filename}: {what}; SWEEP_WEIGHTS names another folder for pretrained weights"
    return f"{paths.folder}: {what}; nothing of the last finished epoch is lost, make room and start again"


def _memory(text: str, line: str) -> str:
    asked = _ASKED.search(text)
    if asked:
        return f"out of memory: tried to allocate {int(asked[1]) / 2**20:,.0f} MiB"
    return f"out of {'GPU ' if 'CUDA' in text else ''}memory: {line}"


def _name(error: Exception) -> str:
    return type(error).__name__


def _line(error: Exception) -> str:
    """What was raised in one line; what a loader worker raised stands in the last line of its traceback."""
    lines = str(error).strip().splitlines() or [_name(error)]
    if re.match(r"Caught \w+ in DataLoader worker process", lines[0]):
        return re.sub(r"^[\w.]+: ", "", lines[-1])[:300]
    return lines[0][:300]
