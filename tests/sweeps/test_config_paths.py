"""Paths under `config` are looked up in the config of every combination of names, before any trial."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import NUCLEI

from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors
from sweeps.study.setup import check_config, choose_scale


@pytest.mark.parametrize(
    ("search", "path", "who"),
    [
        ("backbone: [resnext101_32x4d, resnet50]", "model.backbone.groups", "mask_rcnn with resnet50"),
        ("{model: [mask_rcnn, solov2], lr: {float: [0.001, 0.1]}}", "model.rpn_head.loss_bbox.loss_weight", "solov2"),
        # a part that comes last, behind more pairs of the others than are looked at
        ("{model: [htc, solov2], schedule: [step, poly], optimizer: [SGD, AdamW]}", "optim_wrapper.optimizer.momentum",
         "htc with resnet18"),
    ],
)  # fmt: skip
def test_a_path_that_one_choice_lacks_is_refused(tmp_path: Path, search: str, path: str, who: str) -> None:
    file = tmp_path / "space.yaml"
    search = search if search.startswith("{") else f"{{{search}}}"
    text = f"study: a\ndata: {NUCLEI}\nsearch: {search}\nconfig:\n  {path}: 4\nbudget: {{trials: 4}}\n"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SpaceErrors) as caught:
        check_config(load(file), "tiny")
    (problem,) = caught.value.problems
    assert problem.text().startswith(f"{file}:5:3: config.{path}: {who}")
    assert "is not in the rendered config" in problem.message


def test_an_explicit_auto_wins_over_the_space(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(f"study: a\ndata: {NUCLEI}\nscale: tiny\nfixed: {{model: mask_rcnn}}\n", encoding="utf-8")
    space = load(file)
    assert [choose_scale(space, wanted, 1) for wanted in (None, "auto", "tiny", "standard")] == [
        "tiny", "standard", "tiny", "standard",
    ]  # fmt: skip
