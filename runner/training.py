"""One training: a lease in, figures out. Runs inside the trainer process, on MMDetection's own Runner."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from runner import plugins  # noqa: F401  registers them with MMDetection
from runner.configfile import to_text
from runner.machine import Machine, cpu_name
from runner.paths import TrialPaths, replace_with
from runner.plugins.checkpoint import read_history
from runner.plugins.report import ReportHook
from runner.protocol import EpochReport, Lease, Result, Verdict
from runner.render import render

_PACKAGES = ("torch", "mmengine", "mmcv", "mmdet", "numpy")


class TrialRunner(Runner):
    """MMDetection's runner with one log folder for all attempts of a trial (its own makes one a start)."""

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """As mmengine's, but the log folder is ``log``."""
        super().setup_env(env_cfg)
        self._timestamp = "log"

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """As mmengine's, but a later attempt appends."""
        return super().build_logger(log_level, log_file, **{"file_mode": "a", **kwargs})


def train(lease: Lease, machine: Machine, report: Callable[[EpochReport], Verdict]) -> Result:
    """Trains a leased trial from its last checkpoint, or from the start.

    Args:
        lease: what to train.
        machine: threads and loader workers, which are part of the digits.
        report: called after each validation, and once for each that an earlier attempt made.

    Returns:
        The result, complete or pruned, with the figures of the machine.

    Raises:
        UserError, OSError, RuntimeError and what torch raises; the trainer tells them apart.
    """
    paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)
    text = to_text(
        render(
            lease.combination, lease.seed, lease.scale, lease.data, lease.objective, lease.detections,
            threads=machine.threads, loader_workers=machine.loader_workers,
        )
    )  # fmt: skip
    replace_with(paths.config, text)
    history = read_history(paths.last, lease.training())
    known = {earlier.epoch for earlier in lease.reported}
    for entry in history:
        if entry["epoch"] not in known:
            report(EpochReport.model_validate(entry))
    hook = ReportHook(paths, lease.training(), lease.objective, history, report)
    runner = _build(paths, hook)
    parameters = sum(p.numel() for p in runner.model.parameters())
    runner.train()
    return Result(
        outcome="pruned" if hook.pruned else "complete",
        reason="stopped by the pruner" if hook.pruned else None,
        parameters=parameters,
        peak_memory_mb=_peak_memory(),
        seconds=sum(entry["seconds"] for entry in history),
        config=text,
        versions=_versions(machine),
    )


def _build(paths: TrialPaths, hook: ReportHook) -> TrialRunner:
    config = Config.fromfile(paths.config)
    config.work_dir = str(paths.folder)
    # ours saves after the validation and keeps its figures, see plugins/report.py
    config.default_hooks.checkpoint = None
    if paths.last.exists():
        config.load_from, config.resume = str(paths.last), True
    runner: TrialRunner = TrialRunner.from_cfg(config)
    runner.register_hook(hook)
    return runner


def _peak_memory() -> float:
    """MiB: torch's peak on the GPU, else the most this process ever held."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _versions(machine: Machine) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name(),
        "threads": str(machine.threads),
        "loader_workers": str(machine.loader_workers),
    }
