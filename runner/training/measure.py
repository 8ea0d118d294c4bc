"""How long iterations and validation images take, and what comes with every epoch: timed as a training makes them.

A process that reads one `Request` a line and answers each with one `Answer` a line, until its input ends. What
MMDetection prints goes to stderr.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from typing import Any, TextIO

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from runner.configfile import to_text
from runner.lifeline import die_with_parent
from runner.machine import Machine
from runner.paths import TrialPaths, replace_with
from runner.plugins import checkpoint
from runner.protocol import Lease
from runner.render import render
from runner.training.timing import Answer, Request
from runner.training.train import build, device
from runner.userparts import load_all

_WARM, _LEAST, _MOST = 2, 6, 60  # iterations; the first ones pay for memory and for the choice of algorithms
_IMAGES = 8
_SECONDS = 3.0  # of each, where iterations are quick: what else the machine does comes and goes


class _EnoughError(Exception):
    """So many iterations suffice."""


class _Stopwatch(Hook):
    """Notes when each iteration ended, and ends the training when there are enough."""

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self.begun = 0.0
        self.marks: list[float] = []

    def before_train_epoch(self, runner: Runner) -> None:
        """Everything is built; the loader's processes start now, in the first epoch."""
        self.begun = self.begun or _now()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Starts with the first iteration, whose images are loaded already."""
        self.marks = self.marks or [_now()]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Raises _EnoughError."""
        self.marks.append(_now())
        timed = len(self.marks) - 1 - _WARM
        if timed >= _MOST or (timed >= _LEAST and self.marks[-1] - self.marks[_WARM] >= _SECONDS):
            raise _EnoughError


def measure(lease: Lease, machine: Machine) -> Answer:
    """Times a few iterations and validation images of what a lease trains; from random weights, nothing is kept.

    Raises:
        What a training may raise.
    """
    settings = {**lease.combination.settings, "pretrained": "none"}
    config = render(
        lease.combination.model_copy(update={"settings": settings}), lease.seed, lease.scale, lease.data,
        lease.objective, lease.detections, threads=machine.threads, loader_workers=machine.loader_workers,
        plugins=load_all(lease.plugins),
    )  # fmt: skip
    config["train_cfg"]["val_interval"] = config["train_cfg"]["max_epochs"] = 10**6  # it is ended by the stopwatch
    _as_trained(config["model"], lease.data.max_instances)
    paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)
    paths.folder.mkdir(parents=True, exist_ok=True)
    replace_with(paths.config, to_text(config))
    watch, began = _Stopwatch(), _now()
    runner = build(paths, watch)
    with contextlib.suppress(_EnoughError):
        runner.train()
    timed = watch.marks[_WARM:]
    image, validation = _validation(runner)
    saving = _now()
    checkpoint.save(runner, paths.last, "measured", [], None)
    return Answer(
        start=watch.begun - began,
        epoch=watch.marks[0] - watch.begun + validation + _now() - saving,
        iteration=(timed[-1] - timed[0]) / (len(timed) - 1),
        image=image,
        device=device(),
    )


def _as_trained(model: dict[str, Any], objects: int) -> None:
    """Caps detections: an untrained model finds as many as it may, a trained one not, in between it becomes fewer.

    Twice the most objects of an image: with those alone an image took Cascade Mask R-CNN half as long as in the first
    of six epochs, and 0.6 times as long as in the last.
    """
    test = model.get("test_cfg") or {}
    for part in (test, test.get("rcnn")):
        if isinstance(part, dict) and "max_per_img" in part:
            part["max_per_img"] = min(part["max_per_img"], 2 * objects)


def _validation(runner: Runner) -> tuple[float, float]:
    """Seconds a validation image, model and masks, and seconds of the rest: its loader's start, and the scores.

    The first batch pays for the start of the model unless it is the only one.
    """
    loop: Any = runner.val_loop
    runner.model.eval()
    taken: list[float] = []
    counts: list[int] = []
    rest, asked = 0.0, _now()
    for number, batch in enumerate(loop.dataloader):
        began = _now()
        rest = rest or began - asked
        loop.run_iter(number, batch)
        taken.append(_now() - began)
        counts.append(len(batch["inputs"]))
        if sum(counts) >= _IMAGES and sum(taken) >= _SECONDS:
            break
    scoring = _now()
    loop.evaluator.evaluate(len(loop.dataloader.dataset))
    return sum(taken[1:] or taken) / sum(counts[1:] or counts), rest + _now() - scoring


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()


def main() -> None:
    """Answers requests of its parent, whose id is the argument, until stdin ends.

    Each in a fork that has all imports: as trials do, it starts afresh.
    """
    die_with_parent(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    while line := sys.stdin.readline():
        parent, child = os.getpid(), os.fork()
        if child == 0:
            die_with_parent(parent)
            _answer(line, answers)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            answers.write(Answer(error=f"its process ended with status {status}; is there memory enough?").line())


def _answer(line: str, answers: TextIO) -> None:
    request = Request.model_validate_json(line)
    machine = Machine(request.threads, request.loader_workers)
    with tempfile.TemporaryDirectory() as folder:
        try:
            answer = measure(request.lease.model_copy(update={"work_dir": folder}), machine)
        except Exception as error:  # noqa: BLE001  a training may raise anything
            answer = Answer(error=f"{type(error).__name__}: {error}".splitlines()[0][:300])
    answers.write(answer.line())
    answers.flush()


if __name__ == "__main__":
    main()
