"""Tells the worker of each validation, after its checkpoint is on disk."""

from __future__ import annotations

import base64
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from runner.paths import TrialPaths
from runner.plugins import checkpoint, pictures
from runner.plugins.metric import StudyMetric
from runner.plugins.stopwatch import Stopwatch
from runner.protocol import MOST_EVIDENCE, EpochReport, Objective, Verdict

log = logging.getLogger("sweep.evidence")
_CHECK_LOSS_EVERY = 10  # iterations; reading the loss waits for the GPU


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite."""


class ReportHook(Hook):
    """Checkpoint first, then report: a training that is killed in between repeats the report, not the epoch.

    Args:
        paths: where the checkpoints go.
        training: what is trained; stands in every checkpoint.
        objective: which figure is the score, and whether the best epoch's checkpoint is kept beside the last.
        history: validations of earlier attempts.
        report: sends one validation and returns what the server wants.
        evidence: of the best epoch of earlier attempts, or of the last.
        images: whether each report tells what the images contributed.

    Attributes:
        evidence: what each image contributed to the score (`runner.training.evidence`), once there is one.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        paths: TrialPaths,
        training: str,
        objective: Objective,
        history: list[dict[str, Any]],
        report: Callable[[EpochReport], Verdict],
        evidence: bytes | None = None,
        images: bool = False,
    ) -> None:
        self.paths, self.training, self.objective = paths, training, objective
        self.history, self.report, self.evidence = history, report, evidence
        self.pruned, self.images = False, images
        self._since = time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Raises NonFiniteLossError, checked every tenth iteration and at the end of an epoch."""
        due = batch_idx % _CHECK_LOSS_EVERY == 0 or batch_idx + 1 == len(runner.train_dataloader)
        if outputs and due and not math.isfinite(loss := outputs["loss"].item()):
            raise NonFiniteLossError(f"the loss is {loss} in epoch {runner.epoch + 1}, iteration {batch_idx + 1}")

    def before_val_epoch(self, runner: Runner) -> None:
        """Begins to time the model."""
        self._watch = Stopwatch(runner.model)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Saves and reports the epoch that was validated."""
        figures: dict[str, float | None] = {
            name.removeprefix("coco/"): float(value) for name, value in (metrics or {}).items()
        }
        now = time.monotonic()
        found = _evidence(runner, self.objective) if self.images else None
        report = EpochReport(
            epoch=runner.epoch, metrics=figures, seconds=now - self._since, seconds_per_image=self._watch.stop(),
            evidence=as_text(found),
        )  # fmt: skip
        self._since = now
        earlier = [self._score(entry["metrics"]) for entry in self.history]
        self.history.append(report.model_dump(exclude={"evidence"}))
        best = self._score(figures) > max(earlier, default=-math.inf)
        if best if self.objective.at == "best" else runner.epoch == runner.max_epochs:
            self.evidence = found or _evidence(runner, self.objective)
            self._draw(runner)
        if self.objective.at == "best" and best:
            # before the last one: an epoch that a resume skips has its best checkpoint already
            checkpoint.save(runner, self.paths.best, self.training, self.history, self.evidence)
        checkpoint.save(runner, self.paths.last, self.training, self.history, self.evidence)
        if self.report(report).action == "prune":
            self.pruned = True
            runner.train_loop.stop_training = True

    def _draw(self, runner: Runner) -> None:
        """A picture of the predictions that have the score; a training never fails for want of it."""
        try:
            pictures.draw(runner, self.paths.predictions)
        except (OSError, ValueError, KeyError) as error:
            runner.logger.warning(f"no picture of the predictions: {error}")

    def _score(self, figures: Mapping[str, float | None]) -> float:
        value = figures.get(self.objective.metric)
        return -math.inf if value is None else value


def as_text(evidence: bytes | None) -> str | None:
    """As base64; without what is too large to travel in one message, which is said in the log."""
    found = base64.b64encode(evidence).decode() if evidence else None
    if found and len(found) > MOST_EVIDENCE:
        log.warning("the evidence of %d bytes is too large to send; this trial has no interval", len(found))
        return None
    return found


def _evidence(runner: Runner, objective: Objective) -> bytes | None:
    """What the validation just made leaves of each image, for the objective's boxes or masks."""
    metrics = [one for one in runner.val_loop.evaluator.metrics if isinstance(one, StudyMetric)]
    return metrics[0].evidence(objective.metric.split("_", 1)[0]) if metrics else None
