"""Which renderings of one trial score alike; tests/test_confirm_real.py scores."""

from __future__ import annotations

from typing import Any

from trials import combination, paths

from runner.configfile import from_text, set_path, to_text
from runner.protocol import Objective
from runner.render import render
from runner.training.scoring import _changed


def test_a_config_is_the_same_wherever_its_files_lie_and_whatever_it_started_from() -> None:
    def text(**changes: object) -> dict[str, Any]:
        found = render(combination(backbone="pvtv2_b0"), 0, "tiny", paths(), Objective(), 100)
        for path, value in changes.items():
            set_path(found, f"+{path.replace('__', '.')}", value)
        return from_text(to_text(found))

    started = {"type": "Pretrained", "checkpoint": "/weights.pth"}
    assert _changed(
        text(model__backbone__init_cfg=started, model__backbone__convert_weights=True, load_from="/detector.pth",
             test_evaluator__ann_file="/elsewhere.json"),
        text(),
    ) is None  # fmt: skip
    assert _changed(text(model__test_cfg__rcnn__score_thr=0.3), text()) == "model"
    assert _changed(text(model__backbone__depths=[1, 1, 1, 1]), text()) == "backbone"
    assert _changed(text(test_evaluator__detections=7), text()) == "evaluator"
