"""Defaults at both scales, and what a space says instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.catalog import OPTIMIZERS
from runner.protocol import Combination, Scale
from sweeps.space.loader import load
from sweeps.space.opening import opening
from sweeps.space.resolve import resolve, written
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import assignments, first

Load = Callable[[str], SearchSpace]
AS_IT_IS = {
    "clip_grad": None, "accumulate": 1, "amp": False, "ema": 0.0, "layer_decay": None, "norm_decay": None
}  # fmt: skip


@pytest.fixture
def space(tmp_path: Path) -> Load:
    def make(text: str) -> SearchSpace:
        path = tmp_path / "x.yaml"
        path.write_text(f"study: s\ndata: demo\n{text}\n")
        return load(path)

    return make


def one(space: SearchSpace, scale: Scale = "tiny", n_train: int = 40) -> Combination:
    return resolve(space, first(space), scale, n_train)[0]


def test_defaults_at_standard(space: Load) -> None:
    found = one(space("config: {a: 1}"), "standard")
    assert (found.model.name, found.backbone.name, found.optimizer.name) == ("mask_rcnn", "resnet50", "SGD")
    assert [part.name for part in found.augmentation] == ["flip"]
    assert found.augmentation[0].params == {"probability": 0.5, "direction": "horizontal"}
    assert found.schedule is not None
    assert found.schedule.name == "step"
    assert found.optimizer.params == {
        "lr": 0.0025,
        "momentum": 0.9,
        "dampening": 0.0,
        "nesterov": False,
        "weight_decay": 0.0001,
    }
    assert found.settings == {
        "epochs": 12, "batch_size": 2, "image_size": None, "pretrained": "imagenet", "adapt": "auto", **AS_IT_IS
    }  # fmt: skip
    assert found.config == {"a": 1}


def test_defaults_at_tiny(space: Load) -> None:
    found = one(space("config: {a: 1}"))
    assert (found.model.name, found.backbone.name, found.optimizer.name) == ("mask_rcnn", "resnet18", "AdamW")
    assert found.optimizer.params["lr"] == OPTIMIZERS["AdamW"].parameters["lr"].at("tiny")
    assert found.settings == {
        "epochs": 10, "batch_size": 2, "image_size": [256, 256], "pretrained": "none", "adapt": "auto", **AS_IT_IS
    }  # fmt: skip


@pytest.mark.parametrize(("images", "epochs"), [(1, 40), (12, 33), (40, 10), (50, 8), (5000, 8)])
def test_few_images_are_seen_more_often_at_tiny(space: Load, images: int, epochs: int) -> None:
    assert one(space("fixed: {model: htc}"), "tiny", images).settings["epochs"] == epochs


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("fixed: {model: solov2}", 0.00125),
        ("fixed: {batch_size: 16}", 0.02),
        ("fixed: {optimizer: {SGD: {lr: 0.5}}}", 0.5),
        ("fixed: {lr: 1}", 1.0),
        ("search: {lr: [1]}", 1.0),
        ("fixed: {optimizer: AdamW}", 0.0001),
    ],
)
def test_the_learning_rate_at_standard(space: Load, text: str, rate: float) -> None:
    """SGD's is the zoo's for 16 images, scaled linearly to the batch."""
    found = one(space(text), "standard").optimizer.params["lr"]
    assert (found, type(found)) == (rate, float)


def test_what_a_space_says(space: Load) -> None:
    found = space(
        "fixed: {augmentation: [flip: {probability: 1}, resize_1280x1024], image_size: 128, "
        "seed: 3, adapt: off}\n"
        "search:\n  model: [solov2]\n  optimizer: {Adadelta: {rho: [0.8]}}\n"
        "  schedule: [{cosine: {warmup: 5}}]\n"
        "config: {x.y: {choice: [[1, 2]]}, +z: {a: 1}}\n"
    )
    combination, seed = resolve(found, first(found), "tiny", 40)
    assert seed == 3
    assert [(part.name, part.params) for part in combination.augmentation] == [
        ("flip", {"probability": 1.0, "direction": "horizontal"}),
        ("resize_1280x1024", {}),
    ]
    assert combination.optimizer.params["rho"] == 0.8
    assert combination.schedule is not None
    assert combination.schedule.params == {"warmup": 5, "warmup_factor": 0.001, "min_factor": 0.0}
    assert combination.settings["image_size"] == [128, 128]
    assert combination.settings["adapt"] == "off"
    assert combination.config == {"x.y": [1, 2], "+z": {"a": 1}}


def test_no_augmentation_is_an_empty_tuple(space: Load) -> None:
    found = space("search: {augmentation: [none, flip]}")
    empty, flip = (resolve(found, a, "tiny", 40)[0].augmentation for a in assignments(found))
    assert empty == ()
    assert flip[0].name == "flip"


def test_seeds_are_no_part_of_a_combination(space: Load) -> None:
    found = space("search: {seed: [4, 5]}")
    (one_, four), (other, five) = (resolve(found, a, "tiny", 40) for a in assignments(found))
    assert (four, five) == (4, 5)
    assert one_.digest() == other.digest()


def test_all_images_are_no_other_combination_than_before_there_were_shares(space: Load) -> None:
    plain = one(space("search: {model: [solov2]}"))
    assert plain.digest() == "71dd2151", "as it was in earlier versions"
    searched = space("fixed: {model: solov2}\nsearch: {train_share: [0.25, 1, 0.5]}")
    quarter, whole, half = (resolve(searched, a, "tiny", 40)[0] for a in assignments(searched))
    assert whole == plain == one(space("fixed: {model: solov2, train_share: 1}"))
    assert (quarter.settings["train_share"], half.settings["train_share"]) == (0.25, 0.5)
    assert len({quarter.digest(), whole.digest(), half.digest()}) == 3
    assert quarter.settings["epochs"] == 10, "at tiny these follow all images, or a share would be trained longer"
    assert written(searched, {"train_share": 1})[0] == {"model": "solov2", "train_share": 1.0}


@pytest.mark.parametrize("form", ["[0.25, 1]", "{float: [0.1, 1], log: true}"])
def test_all_images_are_tried_first(space: Load, form: str) -> None:
    assert opening(space(f"search: {{train_share: {form}}}\nbudget: {{trials: 5}}"), "tiny", 40) == {"train_share": 1}


def test_how_a_number_is_written_makes_no_other_combination(space: Load) -> None:
    digests = {
        one(space(text)).digest()
        for text in ("fixed: {lr: 1}", "fixed: {lr: 1.0}", "fixed: {lr: 1e0}", "search: {lr: [1]}",
                     "fixed: {optimizer: {AdamW: {lr: 1}}}", "fixed: {lr: 1, image_size: [256, 256]}")
    }  # fmt: skip
    assert len(digests) == 1
