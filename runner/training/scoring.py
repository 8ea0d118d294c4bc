"""The child process of `runner.scoring`: a trained model over other images, evaluated as its validations were.

python -m runner.training.scoring ORDER ANSWER PARENT
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config

from runner import plugins  # noqa: F401  the plugins are registered with MMDetection
from runner.lifeline import die_with_parent
from runner.paths import replace_with
from runner.plugins.metric import StudyMetric
from runner.scoring import Order, Scored
from runner.training.train import TrialRunner
from runner.userparts import load_all


def score(order: Order, folder: Path) -> Scored:
    """Tests the checkpoint on the images held out.

    Args:
        order: what to score; its config's own validation set is replaced.
        folder: of MMDetection's log.
    """
    load_all(order.plugins)
    config = Config.fromfile(order.config)
    config.work_dir, config.load_from, config.resume = str(folder), order.checkpoint, False
    config.default_hooks.checkpoint = None
    config.model.backbone.pop("init_cfg", None)  # all of it is in the checkpoint
    held = order.holdout
    config.test_dataloader.dataset.update(ann_file=held.annotations, data_prefix={"img": held.images})
    config.test_evaluator.ann_file = held.annotations
    runner: TrialRunner = TrialRunner.from_cfg(config)
    figures: dict[str, Any] = runner.test()
    metric = next(one for one in runner.test_loop.evaluator.metrics if isinstance(one, StudyMetric))
    evidence = metric.evidence(order.kind)
    return Scored(
        metrics={name.removeprefix("coco/"): float(value) for name, value in figures.items()},
        evidence=base64.b64encode(evidence).decode() if evidence else None,
    )


def main(asked: Path, answer: Path, parent: int) -> None:
    """Reads the order, writes the answer."""
    die_with_parent(parent)
    order = Order.model_validate_json(asked.read_text(encoding="utf-8"))
    replace_with(answer, score(order, asked.parent).model_dump_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
