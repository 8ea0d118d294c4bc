"""What `sweep plan` says: interface.md's JSON, and a table."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runner.protocol import DataPaths
from sweeps.space.loader import load
from sweeps.space.plan import plan, plan_table, proposed

DATA = DataPaths(
    name="d", hash="ab", classes=("Normal",), train_images="a", train_annotations="b", val_images="c",
    val_annotations="d", sizes=(128, 128), n_train=12, n_val=4, max_instances=20, object_sizes=(8, 12, 20),
)  # fmt: skip
Plan = Callable[..., dict[str, Any]]


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    def make(text: str, **arguments: Any) -> dict[str, Any]:
        path = tmp_path / "x.yaml"
        path.write_text(f"study: s\ndata: demo\n{text}\n")
        return plan(load(path), **{"scale": "tiny", "data": DATA, **arguments})

    return make


def test_a_finite_space(planned: Plan) -> None:
    adapted = {"detections": 100, "proposals": 128}
    found = planned(
        "fixed: {epochs: 4, augmentation: [flip, resize_1024x1024]}\n"
        "search: {model: [mask_rcnn, htc, solov2], seed: [0, 1]}\nforbid: [{model: htc}]",
        adapted=adapted,
    )
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "study": "s",
        "scale": "tiny",
        "combinations": 2,
        "trials": 4,
        "epochs": 4,
        "fixed": {
            "backbone": "resnet18",
            "augmentation": ["flip", "resize_1024x1024"],
            "optimizer": "AdamW",
            "schedule": "step",
            "epochs": 4,
            "batch_size": 2,
            "image_size": [256, 256],
            "train_share": 1.0,
            "pretrained": "none",
            "adapt": "auto",
            "clip_grad": None,
            "accumulate": 1,
            "amp": False,
            "ema": 0.0,
            "layer_decay": None,
            "norm_decay": None,
        },
        "varies": [
            {"key": "model", "choice": ["mask_rcnn", "htc", "solov2"]},
            {"key": "seed", "choice": [0, 1]},
        ],
        "forbidden": 1,
        "sampler": "exhaustive",
        "pruner": "none",
        "adapted": adapted,
        "gpu_hours": None,
        "notes": [],
    }


def test_an_infinite_space(planned: Plan) -> None:
    found = planned(
        "search: {epochs: {int: [2, 9]}, optimizer: {SGD: {lr: {float: [0.1, 1], log: true}}}}\nbudget: {trials: 7}",
        scale="standard",
    )
    names = ("combinations", "forbidden", "trials", "sampler", "pruner")
    assert [found[name] for name in names] == [None, None, 7, "tpe", "none"]
    assert found["epochs"] == [2, 9]
    assert found["fixed"]["model"] == "mask_rcnn"
    assert found["fixed"]["backbone"] == "resnet50"
    assert not {"optimizer", "epochs"} & found["fixed"].keys()


def test_who_stops_early_is_named(planned: Plan) -> None:
    found = planned("search: {lr: {float: [0.1, 1]}}\nbudget: {trials: 7}")
    assert (found["pruner"], proposed(found)) == ("median", "tpe, median pruner")


def test_epochs_at_tiny_follow_the_data(planned: Plan) -> None:
    assert planned("fixed: {model: htc}")["epochs"] == 33
    assert planned("fixed: {model: htc}", data=None)["epochs"] is None
    assert planned("search: {epochs: [9, 3]}")["epochs"] == [3, 9]


def test_the_table(planned: Plan) -> None:
    found = planned(
        "search: {optimizer: {SGD: {lr: {float: [0.001, 0.1], log: true}}, AdamW: }, "
        "epochs: {int: [2, 8], step: 2}, augmentation: [flip, [equalize, brightness]]}\n"
        "fixed: {model: htc, schedule: {step: {gamma: 0.3}}}\nbudget: {trials: 7}",
        adapted={"detections": 150},
    )
    stream = io.StringIO()
    Console(file=stream, width=100).print(plan_table(found))
    lines = [" ".join(line.strip("│┃ ").replace("│", " ").split()) for line in stream.getvalue().splitlines()]
    for expected in (
        "plan of study s",
        "combinations infinitely many",
        "trials 7 (tpe)",
        "epochs 2 to 8",
        "search optimizer SGD: {lr: {float: [0.001, 0.1], log: true}}",
        "AdamW",
        "search epochs 2 to 8, in steps of 2",
        "fixed model htc",
        "search augmentation flip",
        "[equalize, brightness]",
        "fixed schedule step: {gamma: 0.3}",
        "fixed image_size [256, 256]",
        "adapted detections 150",
    ):
        assert expected in lines
