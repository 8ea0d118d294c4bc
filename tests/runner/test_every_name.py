"""Every name of the catalog trains once on real images: the loss is finite and falls, masks are scored.

One training holds a model, a backbone, an augmentation and a schedule that were not tried yet; optimizers have tests of
their own (test_optim*.py), every pair of names is tried by search_spaces/pairs.yaml.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from trainers import trainer
from trials import combination, lease, part

from runner.catalog import AUGMENTATIONS, BACKBONES, MODELS, SCHEDULES
from runner.paths import TrialPaths
from runner.protocol import Lease

# every model once, then again and again those that score an image quickest
QUICK = ("condinst", "mask2former")
KINDS = (BACKBONES, MODELS, AUGMENTATIONS, SCHEDULES)
CYCLES = (
    itertools.cycle(BACKBONES),
    itertools.chain(MODELS, itertools.cycle(QUICK)),
    itertools.cycle(AUGMENTATIONS),
    itertools.cycle(SCHEDULES),
)
ROWS = list(itertools.islice(zip(*CYCLES, strict=False), max(map(len, KINDS))))


def losses(trial: Lease) -> list[float]:
    """The mean loss of the last 20 iterations, at each one, from mmengine's own log."""
    log = TrialPaths.of(trial.work_dir, trial.study, trial.trial).folder / "log" / "vis_data" / "scalars.json"
    return [entry["loss"] for line in log.read_text().splitlines() if "loss" in (entry := json.loads(line))]


@pytest.mark.parametrize(("backbone", "model", "augmentation", "schedule"), ROWS)
def test_every_name_trains(tmp_path: Path, backbone: str, model: str, augmentation: str, schedule: str) -> None:
    epochs = 3 if model in ("solov2", "rtmdet_ins") else 2  # their loss rises at first
    trial = combination(
        model, backbone, augmentation=() if augmentation == "none" else (augmentation,), schedule=schedule,
        optimizer=part("optimizer", "AdamW"), epochs=epochs, image_size=[128, 128],
        config={"default_hooks.logger.interval": 1},
    )  # fmt: skip
    what = lease(tmp_path, trial, detections=20)
    with trainer(what) as training:
        note = training.end()
    assert note.result and note.result.outcome == "complete", note
    found = losses(what)
    assert len(found) == 6 * epochs, "epochs of twelve images in batches of two"
    assert all(map(math.isfinite, found))
    assert found[-1] < found[0], found
    reports = [note.report for note in training.notes if note.report]
    assert [report.epoch for report in reports] == list(range(1, epochs + 1))
    assert all("segm_mAP" in report.metrics for report in reports)
