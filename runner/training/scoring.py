"""The child process of `runner.scoring`: a trained model over other images, evaluated as its validations were.

python -m runner.training.scoring ORDER ANSWER PARENT
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import Config

from runner import plugins  # noqa: F401  the plugins are registered with MMDetection
from runner.configfile import from_text, to_text
from runner.errors import UserError
from runner.lifeline import die_with_parent
from runner.paths import replace_with
from runner.plugins.metric import StudyMetric
from runner.render import render
from runner.scoring import Order, Scored
from runner.training.train import TrialRunner
from runner.userparts import load_all

_START = ("init_cfg", "convert_weights")  # of a backbone: its weights (`runner.training.pretrained`)


def score(order: Order, folder: Path) -> Scored:
    """Tests the checkpoint on the images held out.

    Args:
        order: what to score; its config's own validation set is replaced.
        folder: of the config and MMDetection's log.

    Raises:
        UserError: another version of sweep has trained it, so that its score here would be another model's.
    """
    lease = order.lease
    rendered = render(
        lease.combination, lease.seed, lease.scale, lease.data, lease.objective, lease.detections,
        threads=order.threads, plugins=load_all(lease.plugins),
    )  # fmt: skip
    text = to_text(rendered)
    if (what := _changed(from_text(order.config), from_text(text))) is not None:
        raise UserError(f"this version of sweep renders another {what} of it than the one that was trained")
    path = folder / "config.py"
    replace_with(path, text)
    config = Config.fromfile(path)
    config.work_dir, config.load_from, config.resume = str(folder), order.checkpoint, False
    config.default_hooks.checkpoint = None
    config.model.backbone.pop("init_cfg", None)  # all of it is in the checkpoint
    held = order.holdout
    config.test_dataloader.dataset.update(ann_file=held.annotations, data_prefix={"img": held.images})
    config.test_evaluator.ann_file = held.annotations
    runner: TrialRunner = TrialRunner.from_cfg(config)
    figures: dict[str, Any] = runner.test()
    metric = next(one for one in runner.test_loop.evaluator.metrics if isinstance(one, StudyMetric))
    evidence = metric.evidence(lease.objective.metric.split("_", 1)[0])
    return Scored(
        metrics={name.removeprefix("coco/"): float(value) for name, value in figures.items()},
        evidence=base64.b64encode(evidence).decode() if evidence else None,
    )


def _changed(trained: dict[str, Any], rendered: dict[str, Any]) -> str | None:
    """The first part that scores depend on and that differs; where files lie, and what it started from, may."""
    looks: dict[str, Callable[[dict[str, Any]], Any]] = {
        "model": lambda config: _without(config["model"], ("backbone",)),
        "backbone": lambda config: _without(config["model"]["backbone"], _START),
        "pipeline": lambda config: config["test_dataloader"]["dataset"]["pipeline"],
        "evaluator": lambda config: _without(config["test_evaluator"], ("ann_file",)),
    }
    return next((what for what, look in looks.items() if look(trained) != look(rendered)), None)


def _without(node: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in keys}


def main(asked: Path, answer: Path, parent: int) -> None:
    """Reads the order, writes the answer."""
    die_with_parent(parent)
    order = Order.model_validate_json(asked.read_text(encoding="utf-8"))
    replace_with(answer, score(order, asked.parent).model_dump_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
