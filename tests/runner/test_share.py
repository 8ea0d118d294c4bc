"""A share of the training images: which they are, under which data set, and a training with them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from trainers import trainer
from trials import NUCLEI, combination, lease, nuclei, paths

from runner.paths import TrialPaths
from runner.protocol import Combination, DataPaths, Objective
from runner.render import render
from runner.share import kept
from runner.training.measure import _Stopwatch

SHARES = (0.0001, 0.05, 0.1, 0.25, 0.5, 0.75, 1)
QUARTER = {"train_share": 0.25}


@pytest.mark.parametrize("images", [1, 2, 12, 100, 520])
def test_shares_are_spread_and_part_of_larger_ones(images: int) -> None:
    chosen = [kept(images, share) for share in SHARES]
    assert [len(one) for one in chosen] == [max(1, round(share * images)) for share in SHARES]
    assert all(set(small) < set(large) or small == large for small, large in pairwise(chosen))
    for share, one in zip(SHARES, chosen, strict=True):
        gaps = [b - a for a, b in pairwise([*one, images])]
        assert len(one) == 1 or max(gaps) <= 2 / share, "as a drawing of such a share would not be"
        assert abs(sum(number % 2 for number in one) - len(one) / 2) <= 2, "two cameras in turn have their halves"


def config_of(trial: Combination, data: DataPaths | None = None) -> dict[str, Any]:
    return render(trial, 0, "tiny", data or nuclei(), Objective(), 100)


def test_the_share_is_of_labelled_images_under_any_augmentation(tmp_path: Path) -> None:
    document = json.loads((NUCLEI / "train.json").read_text())
    labelled = [image["id"] for image in document["images"]]
    empty = [{**image, "id": 1000 + image["id"]} for image in document["images"]]
    document["images"] = [image for pair in zip(empty, document["images"], strict=True) for image in pair]
    (tmp_path / "train.json").write_text(json.dumps(document))
    trial = combination(augmentation=("mosaic", "copy_paste"), train_share=0.5, image_size=[64, 64])
    register_all_modules(init_default_scope=True)
    built = DATASETS.build(Config(config_of(trial, nuclei(train_annotations=str(tmp_path / "train.json")))
                                  ).train_dataloader.dataset)  # fmt: skip
    inner = built.dataset.dataset
    assert [inner.get_data_info(n)["img_id"] for n in range(len(inner))] == [labelled[n] for n in kept(12, 0.5)]
    assert len(built) == 6 and built[5]["data_samples"].gt_instances.masks


def test_all_images_are_mmdetections_own_data_set() -> None:
    assert config_of(combination(train_share=1.0)) == config_of(combination())
    assert config_of(combination())["train_dataloader"]["dataset"]["type"] == "CocoDataset"


def test_warm_up_counts_the_iterations_of_the_share() -> None:
    """Of 200 images in pairs over 12 epochs: a tenth of 1200 iterations, and of 300."""
    ends = [config_of(combination(**chosen), paths())["param_scheduler"][0]["end"] for chosen in ({}, QUARTER)]
    assert ends == [120, 30]


def test_half_of_the_images_train_under_a_mosaic(tmp_path: Path) -> None:
    trial = combination(augmentation=("flip", "mosaic"), train_share=0.5, image_size=[64, 64], epochs=2, batch_size=2)
    held = lease(tmp_path, trial)
    with trainer(held) as one:
        note = one.end()
    assert note.result and note.result.outcome == "complete", note
    checkpoint = torch.load(TrialPaths.of(tmp_path, held.study, held.trial).last, weights_only=True)
    assert checkpoint["meta"]["iter"] == 2 * 3, "six of twelve images are three pairs an epoch"


def test_what_comes_with_an_epoch_is_timed_in_the_first_of_several() -> None:
    """A share makes epochs of a few iterations; the loaders' start is what lies before the very first of them."""
    watch, none = _Stopwatch(), SimpleNamespace()
    for _ in range(2):
        watch.before_train_epoch(none)
        for number in range(3):
            watch.before_train_iter(none, number)
            watch.after_train_iter(none, number)
    assert 0 < watch.begun <= watch.marks[0]
