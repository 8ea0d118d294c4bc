"""One training: a lease in, figures out. Runs inside the trainer process, on MMDetection's own Runner."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import platform
import resource
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from runner import plugins  # noqa: F401  the plugins are registered with MMDetection
from runner.catalog import BACKBONES
from runner.configfile import to_text
from runner.lifeline import die_with_parent
from runner.machine import Machine, cpu_name
from runner.paths import TrialPaths, replace_with
from runner.plugins.checkpoint import read_evidence, read_history
from runner.plugins.report import ReportHook, as_text
from runner.protocol import EpochReport, Lease, Result, Verdict
from runner.render import render
from runner.sources import CATALOGED
from runner.training import readable
from runner.training.loading import backbone_line, detector_line, watching
from runner.training.nonfinite import weights_watched
from runner.training.pretrained import Start, asks, placed
from runner.training.weights import OTHER_WEIGHTS, WeightsError
from runner.userparts import load_all

log = logging.getLogger("sweep.weights")
_PACKAGES = ("torch", "mmengine", "mmcv", "mmdet", "numpy")


class TrialRunner(Runner):
    """MMDetection's runner with one log folder for all attempts of a trial (its own makes one a start).

    Weights it starts from must fit: see `runner.training.loading`.

    Attributes:
        fresh: names of the backbone's tensors that no ImageNet weights have, as regular expressions.
        loaded: what was loaded, in a few words; None where the start is random or this is a resume.
    """

    fresh: Sequence[str] = ()
    loaded: str | None = None

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """As mmengine's, but the log folder is ``log``."""
        super().setup_env(env_cfg)
        self._timestamp = "log"

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """As mmengine's, but a later attempt appends."""
        return super().build_logger(log_level, log_file, **{"file_mode": "a", **kwargs})

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> Any:
        """As mmengine's; loader workers end with this process, what can't be read is told from broken code.

        Raises:
            DataError: the labels can't be read.
        """
        if isinstance(dataloader, dict) and isinstance(dataloader["dataset"], dict):
            dataloader = {**dataloader, "dataset": readable.built(dataloader["dataset"])}
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        # one that is killed leaves them blocked at their pipe otherwise (torch's own watchdog waits for that pipe)
        loader.worker_init_fn = partial(_begin_loader_worker, os.getpid(), loader.worker_init_fn)
        return loader

    def _init_model_weights(self) -> None:
        """As mmengine's; weights that fill the backbone by half are an error.

        Raises:
            WeightsError: they cannot be had, or do not fit.
        """
        source = asks(self.cfg.model.backbone)
        if source is None:
            super()._init_model_weights()
            return
        with watching(self.model.backbone, source) as watch:
            super()._init_model_weights()
        self.loaded = backbone_line(watch, source, self.fresh)

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As mmengine's; weights that fill backbone or neck by half are an error, except in a resume (which is ours).

        Raises:
            WeightsError: they cannot be had, or do not fit.
        """
        if self._resume:
            return dict(super().load_checkpoint(filename, *args, **kwargs))
        with watching(self.model, filename) as watch:
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        self.loaded = detector_line(watch, filename)
        return dict(checkpoint)


def _begin_loader_worker(trainer: int, begin: Callable[[int], None] | None, worker_id: int) -> None:
    die_with_parent(trainer)
    if begin is not None:
        begin(worker_id)


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
    config = render(
        lease.combination, lease.seed, lease.scale, lease.data, lease.objective, lease.detections,
        threads=machine.threads, loader_workers=machine.loader_workers, plugins=load_all(lease.plugins),
    )  # fmt: skip
    history = read_history(paths.last, lease.training())
    with _naming(lease):
        start = _start(lease, paths, config)
    start.apply(config)
    text = to_text(config)
    replace_with(paths.config, text)
    known = {earlier.epoch for earlier in lease.reported}
    for entry in history:
        if entry["epoch"] not in known:
            report(EpochReport.model_validate(entry))
    kept = read_evidence(paths.last)
    hook = ReportHook(paths, lease.training(), lease.objective, history, report, kept, lease.images)
    runner = build(paths, hook)
    runner.register_hook(_Started(start, paths, lease))
    runner.fresh = BACKBONES[lease.combination.backbone.name].fresh
    parameters = sum(p.numel() for p in runner.model.parameters())
    with _naming(lease), weights_watched(runner):
        runner.train()
    return Result(
        outcome="pruned" if hook.pruned else "complete",
        reason="stopped by the pruner" if hook.pruned else None,
        parameters=parameters,
        peak_memory_mb=_peak_memory(),
        seconds_per_image=_median([entry.get("seconds_per_image") for entry in history]),
        seconds=sum(entry["seconds"] for entry in history),
        config=text,
        evidence=as_text(hook.evidence),
        versions=_versions(machine) | ({"pretrained": start.told} if start.told else {}),
    )


class _Started(Hook):
    """Notes what was loaded once it is: the first thing after mmengine has loaded it."""

    def __init__(self, start: Start, paths: TrialPaths, lease: Lease) -> None:
        self.start, self.paths, self.wanted = start, paths, lease.combination.settings["pretrained"]

    def before_train(self, runner: TrialRunner) -> None:
        """Writes it beside the checkpoints; a resume leaves what is there."""
        if runner.loaded:
            self.start.told = f"{self.wanted}: {runner.loaded}"
            log.info("pretrained %s", self.start.told)
            self.start.keep(self.paths.weights)


def _start(lease: Lease, paths: TrialPaths, config: dict[str, Any]) -> Start:
    """How the training starts: as the attempt before it did, else as the weights' own names say."""
    if paths.last.exists() and (kept := Start.kept(paths.weights)):
        return kept
    paths.weights.unlink(missing_ok=True)
    wanted = lease.combination.settings["pretrained"]
    if wanted not in CATALOGED:
        return Start(placed(config["model"], wanted))
    if wanted == "imagenet" and BACKBONES[lease.combination.backbone.name].imagenet is None:
        raise WeightsError(f"the catalog knows none; {OTHER_WEIGHTS}")
    return Start()


@contextlib.contextmanager
def _naming(lease: Lease) -> Iterator[None]:
    """Says whose weights they were where the space names none itself."""
    wanted = lease.combination.settings["pretrained"]
    try:
        yield
    except WeightsError as error:
        if wanted not in CATALOGED:
            raise
        parts = lease.combination.backbone.name
        if wanted == "coco":
            parts = f"{lease.combination.model.name} with {parts}"
        raise WeightsError(f"pretrained {wanted} of {parts}: {error}") from error


def build(paths: TrialPaths, hook: Hook) -> TrialRunner:
    """MMDetection's runner of the config that lies at `paths`, at the last checkpoint if there is one."""
    config = Config.fromfile(paths.config)
    config.work_dir = str(paths.folder)
    # ours saves after the validation and keeps its figures, see plugins/report.py
    config.default_hooks.checkpoint = None
    if paths.last.exists():
        config.load_from, config.resume = str(paths.last), True
        config.model.backbone.pop("init_cfg", None)  # all of it is in the checkpoint
    runner: TrialRunner = TrialRunner.from_cfg(config)
    runner.register_hook(hook)
    return runner


def _median(seconds: Sequence[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return median(known) if known else None


def _peak_memory() -> float:
    """MiB: torch's peak on the GPU, else the most this process ever held."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def device() -> str:
    """What trains here: the GPU as torch names it, or the model of the CPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name()


def _versions(machine: Machine) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": device(),
        "threads": str(machine.threads),
        "loader_workers": str(machine.loader_workers),
    }
