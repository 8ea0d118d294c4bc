"""What may change while a study goes on, and what may not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sweeps.space.identity import differences, identity
from sweeps.space.loader import load

TEXT = """\
study: s
data: demo
fixed: {backbone: resnet18, epochs: 12}
search:
  optimizer:
    SGD: {lr: {float: [0.001, 0.05], log: true}, momentum: [0.8, 0.9]}
    AdamW:
  augmentation: [none, flip, [resize_1024x1024, flip: {probability: 0.3}]]
config: {a.b: 1, +c: {int: [1, 3]}}
forbid: [{optimizer: AdamW, augmentation: none}]
budget: {trials: 5}
"""
Identity = Callable[..., dict[str, Any]]


@pytest.fixture
def of(tmp_path: Path) -> Identity:
    path = tmp_path / "x.yaml"
    path.write_text(TEXT)

    def make(*overrides: str, scale: str = "tiny", data: str = "ab" * 32) -> dict[str, Any]:
        return identity(load(path, overrides), scale, data)

    return make


def lines(old: dict[str, Any], new: dict[str, Any]) -> Sequence[str]:
    return differences(json.loads(json.dumps(old)), new)


def test_an_identity_is_json_and_equal_to_itself(of: Identity) -> None:
    assert json.loads(json.dumps(of())) == of()
    assert of()["search"]["optimizer"] == {
        "choice": [
            {"SGD": {"lr": {"float": [0.001, 0.05], "log": True}, "momentum": {"choice": [0.8, 0.9]}}},
            "AdamW",
        ]
    }
    assert of()["search"]["augmentation"]["choice"][2] == ["resize_1024x1024", {"flip": {"probability": 0.3}}]
    assert lines(of(), of()) == []


@pytest.mark.parametrize(
    "override",
    [
        "budget.trials=9",
        "sampler={kind: random, seed: 4}",
        "pruner={kind: median}",
        "study=other",
        "scale=standard",
    ],
)
def test_what_may_change(of: Identity, override: str) -> None:
    assert lines(of(), of(override)) == []


@pytest.mark.parametrize(
    ("overrides", "difference"),
    [
        (["fixed.epochs=8"], ["fixed.epochs: 12 there, 8 here"]),
        (["fixed.lr=1", "search.optimizer=[SGD, AdamW]"], [
            "search.optimizer.SGD.lr: {float: [0.001, 0.05], log: true} there, nothing here",
            "search.optimizer.SGD.momentum: [0.8, 0.9] there, nothing here",
            "fixed.lr: nothing there, 1.0 here",
        ]),
        (["search.optimizer.SGD.lr.float=[0.01, 0.05]"], [
            "search.optimizer.SGD.lr: {float: [0.001, 0.05], log: true} there, "
            "{float: [0.01, 0.05], log: true} here",
        ]),
        (["search.augmentation=[flip, none]"], [
            'search.augmentation: [none, flip, ["resize_1024x1024", {"flip": {"probability": 0.3}}]] there, '
            "[flip, none] here",
        ]),
        (["config.a.b=2"], ["config.a.b: 1 there, 2 here"]),
        (["forbid=[]"], ['forbid: [{"optimizer": ["AdamW"], "augmentation": ["none"]}] there, nothing here']),
        (["objective=bbox_mAP"], ["objective.metric: segm_mAP there, bbox_mAP here"]),
    ],
)  # fmt: skip
def test_what_may_not_change_is_said(of: Identity, overrides: list[str], difference: list[str]) -> None:
    assert lines(of(), of(*overrides)) == difference


def test_scale_and_data(of: Identity) -> None:
    assert lines(of(), of(scale="standard")) == ["scale: tiny there, standard here"]
    assert lines(of(), of(data="cd" * 32)) == ["data: abababababab there, cdcdcdcdcdcd here"]
