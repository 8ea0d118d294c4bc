"""By what a model with a backbone is trained where a space does not say: MMDetection's own recipe, at our batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.protocol import Combination, Scale
from sweeps.space.loader import load
from sweeps.space.plan import plan
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
