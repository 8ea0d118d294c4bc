"""By what a model with a backbone is trained where a space does not say: MMDetection's own recipe, at our batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.protocol import Combination, Scale
from sweeps.space.loader import load
from sweeps.space.plan import plan
from sweeps.space.problems import SpaceErrors
from sweeps.space.resolve import default_optimizer, resolve
from sweeps.space.walk import first


def resolved(folder: Path, text: str, scale: Scale = "standard") -> Combination:
    path = folder / "x.yaml"
    path.write_text(f"study: s\ndata: demo\nconfig: {{a: 1}}\n{text}\n")
    space = load(path)
    return resolve(space, first(space), scale, 40)[0]


@pytest.mark.parametrize(
    ("model", "backbone", "scale", "name"),
    [
        ("mask_rcnn", "resnet50", "standard", "SGD"),
        ("mask_rcnn", "swin_tiny", "standard", "AdamW"),
        ("mask_rcnn", "swin_tiny", "tiny", "AdamW"),
        ("mask2former", "resnet50", "standard", "AdamW"),
        ("rtmdet_ins", "cspnext_s", "standard", "AdamW"),
    ],
)
def test_the_optimizer(model: str, backbone: str, scale: Scale, name: str) -> None:
    assert default_optimizer(model, backbone, scale) == name


@pytest.mark.parametrize(
    ("text", "rate", "decay"),
    [
        ("fixed: {model: mask_rcnn}", 0.02 / 8, 0.0001),
        ("fixed: {model: solov2, batch_size: 4}", 0.01 / 4, 0.0001),
        ("fixed: {model: mask2former}", 0.0001 / 8**0.5, 0.05),
        ("fixed: {model: rtmdet_ins}", 0.004 / 128**0.5, 0.05),
        ("fixed: {model: mask_rcnn, backbone: swin_tiny}", 0.0001 / 8**0.5, 0.05),
        ("fixed: {model: mask_rcnn, backbone: swin_tiny, batch_size: 16}", 0.0001, 0.05),
        ("fixed: {model: mask_rcnn, backbone: swin_tiny, optimizer: SGD}", 0.02 / 8, 0.0001),
        ("fixed: {model: mask_rcnn, backbone: pvt_tiny}", 0.0001 / 8**0.5, 0.0001),
        ("fixed: {model: mask_rcnn, optimizer: AdamW}", 0.0001, 0.05),
        ("fixed: {model: mask2former, optimizer: {AdamW: {lr: 0.5, weight_decay: 0.25}}}", 0.5, 0.25),
        ("fixed: {model: mask2former, lr: 0.5}", 0.5, 0.05),
        ("fixed: {model: mask_rcnn, backbone: regnetx_3_2gf}", 0.02 / 8, 0.00005),
        ("fixed: {model: mask2former, backbone: regnetx_3_2gf}", 0.0001 / 8**0.5, 0.05),
        ("fixed: {model: mask_rcnn, backbone: cspnext_s}", 0.004 / 128**0.5, 0.05),
    ],
)
def test_rates_are_scaled_to_the_batch(tmp_path: Path, text: str, rate: float, decay: float) -> None:
    """Linearly for SGD, by the square root for AdamW; what a space says is never scaled."""
    params = resolved(tmp_path, text).optimizer.params
    assert params["lr"] == pytest.approx(rate, rel=1e-12)
    assert params["weight_decay"] == decay


def test_tiny_keeps_the_catalogs(tmp_path: Path) -> None:
    params = resolved(tmp_path, "fixed: {backbone: swin_tiny}", "tiny").optimizer.params
    assert (params["lr"], params["weight_decay"]) == (0.001, 0.05)


def test_how_a_setting_is_written_makes_no_other_combination(tmp_path: Path) -> None:
    texts = ("fixed: {clip_grad: 1}", "fixed: {clip_grad: 1.0}", "search: {clip_grad: [1]}")
    assert len({resolved(tmp_path, text).digest() for text in texts}) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fixed: {backbone: swin_tiny}", "AdamW"),
        ("search: {backbone: [resnet50, resnet101]}", "SGD"),
        ("search: {backbone: [resnet50, swin_tiny]}", "each model's own"),
        ("search: {model: [mask_rcnn, mask2former]}", "each model's own"),
    ],
)
def test_a_plan_shows_it(tmp_path: Path, text: str, shown: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"study: s\ndata: demo\nconfig: {{a: 1}}\n{text}\n")
    assert plan(load(path), "standard")["fixed"]["optimizer"] == shown


def test_rprop_is_one_training_under_any_schedule(tmp_path: Path) -> None:
    under = [resolved(tmp_path, f"fixed: {{optimizer: Rprop, schedule: {name}}}") for name in ("step", "one_cycle")]
    assert under[0].digest() == under[1].digest()
    assert under[0].schedule and under[0].schedule.name == "constant"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("SGD: {nesterov: true, momentum: 0}", "optimizer SGD: nesterov wants a momentum above 0 and no dampening, "
         "found momentum 0 and dampening 0; write nesterov: false"),
        ("Rprop: {step_min: 0.1, step_max: 0.001}",
         "optimizer Rprop: expected step_min below step_max, found 0.1 and 0.001"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_stand_together(tmp_path: Path, given: str, line: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"study: s\ndata: demo\nfixed: {{optimizer: {{{given}}}}}\n")
    with pytest.raises(SpaceErrors) as caught:
        load(path, scale=lambda _: "standard")
    assert [problem.message for problem in caught.value.problems] == [line]
