"""The long trainings: every model of the shipped space learns real images; every model trains at standard scale."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import NUCLEI, Desk

SPACES = Path(__file__).parents[1] / "search_spaces"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2700)]


def test_all_six_models_learn_nuclei(desk: Desk) -> None:
    done = desk.run("start", SPACES / "models.yaml", "--data", NUCLEI, "--scale", "tiny", timeout=2600)
    assert done.returncode == 0, done.stderr
    scores = {row["model"]: row["segm_mAP"] for row in desk.json("rank")["rows"]}
    print(done.stdout)
    assert set(scores) == {"mask_rcnn", "cascade_mask_rcnn", "ms_rcnn", "htc", "scnet", "solov2"}
    assert min(scores.values()) > 0.2, scores
    assert max(scores.values()) >= 0.45, scores


def test_models_and_backbones_train_at_standard_scale(desk: Desk) -> None:
    desk.write(
        f"""\
study: standard
data: {NUCLEI}
scale: standard
fixed: {{optimizer: AdamW, epochs: 1, image_size: 128, pretrained: none}}
search:
  model: [mask_rcnn, cascade_mask_rcnn, ms_rcnn, htc, scnet, solov2]
  backbone: [resnet50, resnet18, resnext101_32x4d]
forbid:   # every model with ResNet-50, every backbone with Mask R-CNN
  - {{model: [cascade_mask_rcnn, ms_rcnn, htc, scnet, solov2], backbone: [resnet18, resnext101_32x4d]}}
budget: {{trials: 8}}
"""
    )
    done = desk.run("start", "space.yaml", timeout=1800)
    assert done.returncode == 0, done.stderr
    rows = desk.json("rank", "--all")["rows"]
    assert [(row["model"], row["backbone"], row["reason"]) for row in rows if row["state"] != "complete"] == []
    assert len(rows) == 8
    # zoo sizes, one class: Mask R-CNN R-50 has 44 million parameters
    by_model = {(row["model"], row["backbone"]): row["parameters"] for row in rows}
    assert 43e6 < by_model["mask_rcnn", "resnet50"] < 45e6
