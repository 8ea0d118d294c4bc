"""Every model, tiny: it learns from a batch, with and without objects, and predicts masks of the image's size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from trials import combination, part, paths
from zoo import batch

from runner import plugins  # noqa: F401  registers our heads
from runner.catalog import BACKBONES, MODELS
from runner.protocol import Objective
from runner.render import render

# resnet18 and one other backbone a model; all pairs run with -m slow
OTHERS = list(zip(MODELS, list(BACKBONES)[1:], strict=False))
PAIRS = [(model, "resnet18") for model in MODELS] + OTHERS
REST = [(model, backbone) for model in MODELS for backbone in BACKBONES if (model, backbone) not in PAIRS]


def config(name: str, backbone: str = "resnet18", scale: str = "tiny", **params: Any) -> dict[str, Any]:
    trial = combination(name, backbone, scale=scale, image_size=[128, 128])
    trial = trial.model_copy(update={"model": part("model", name, scale, **params)})
    rendered: dict[str, Any] = render(trial, 7, scale, paths(classes=("ring",)), Objective(), 100)["model"]  # type: ignore[arg-type]
    return rendered


def build(model: dict[str, Any]) -> torch.nn.Module:
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    built: torch.nn.Module = MMDET_MODELS.build(Config({"model": model}).model)
    built.init_weights()
    return built


def loss_of(model: torch.nn.Module, data: dict[str, Any], *, without: str = "") -> torch.Tensor:
    """The seeded loss of one training step; the part called `without` is left out."""
    model.train()
    torch.manual_seed(0)
    losses = model.forward(**model.data_preprocessor(data, training=True), mode="loss")
    loss: torch.Tensor = model.parse_losses({key: value for key, value in losses.items() if key != without})[0]
    return loss


def predicted(model: torch.nn.Module, data: dict[str, Any]) -> list[Any]:
    model.eval()
    with torch.no_grad():
        samples = model.forward(**model.data_preprocessor(data, training=False), mode="predict")
    return [sample.pred_instances for sample in samples]


# What makes the map of stride 4, which these models do not read (CondInst's neck begins at stride 8)
FROM_STRIDE_8 = ("rtmdet_ins", "condinst")
STRIDE_4 = (".norm0.", ".pyramid.ways.0.", ".hidden_states_norms.stage1.", ".fuse_layers.0.")


def learns(name: str, backbone: str) -> None:
    model = build(config(name, backbone))
    loss = loss_of(model, batch(4, 5))
    assert torch.isfinite(loss) and loss > 0
    loss.backward()
    # DINOv2 replaces pixels by its mask token only while it is pretrained
    learning = {key: p for key, p in model.named_parameters() if not key.endswith(".mask_token")}
    frozen = [key for key, p in learning.items() if not p.requires_grad]
    missed = [key for key, p in learning.items() if p.grad is None]
    if name in FROM_STRIDE_8:
        missed = [key for key in missed if not any(part in key for part in STRIDE_4)]
    assert not frozen, "a random start must learn everywhere"
    assert not missed, "what no gradient reaches stays random"
    assert all(torch.isfinite(p.grad).all() for p in learning.values() if p.grad is not None)


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_a_tiny_model_learns_from_a_batch(name: str, backbone: str) -> None:
    learns(name, backbone)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), REST)
def test_the_other_tiny_models_learn_from_a_batch(name: str, backbone: str) -> None:
    learns(name, backbone)


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_falls_on_one_batch(name: str) -> None:
    model = build(config(name))
    optimizer = torch.optim.AdamW(model.parameters(), 0.001)
    losses = []
    # RTMDet scores a point by the IoU of its box: the better the boxes, the higher what its classes must reach
    without = "loss_cls" if name == "rtmdet_ins" else ""
    for _ in range(4):
        loss = loss_of(model, batch(4, 5), without=without)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 35)
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-2:]) < losses[0], losses


# every detection is wanted, however unsure a model is that has learned nothing
ALL_OF_THEM = ("score_threshold", "filter_threshold")


@pytest.mark.parametrize("name", MODELS)
def test_predicted_masks_have_the_size_of_the_image(name: str) -> None:
    """Both factors differ: 640 x 513 pixels shrink to 128 x 103, not to 128 x 102.6."""
    known = {key: 0.0 for key in ALL_OF_THEM if key in MODELS[name].parameters}
    model = build(config(name, **known))
    loss_of(model, batch(4, 5))  # statistics of the norms
    for seen, size in (((103, 128), (513, 640)), ((128, 103), (640, 513))):
        (found,) = predicted(model, batch(3, size=seen, original=size))
        assert len(found) > 0
        assert found.masks.shape == (len(found), *size)
        assert found.masks.dtype == torch.bool
        assert len(found) <= 150
        if MODELS[name].boxes and name != "queryinst":  # which does not clip its boxes
            assert found.bboxes.min() >= 0
            assert found.bboxes[:, 0::2].max() <= size[1] and found.bboxes[:, 1::2].max() <= size[0]


@pytest.mark.parametrize("counts", [(0, 3), pytest.param((3, 0), marks=pytest.mark.slow), (0, 0)])
@pytest.mark.parametrize("name", MODELS)
def test_images_without_objects(name: str, counts: tuple[int, int]) -> None:
    model = build(config(name))
    loss = loss_of(model, batch(*counts))
    assert torch.isfinite(loss) and loss < 1000
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert all(torch.isfinite(value.float()).all() for value in model.state_dict().values())


def test_boxes_beside_the_image_have_empty_masks() -> None:
    head = build(config("queryinst")).roi_head.mask_head[-1]
    meta = {"ori_shape": (60, 80), "img_shape": (120, 160), "scale_factor": (2.0, 2.0)}
    boxes = torch.tensor([[-40.0, 10, -10, 40], [20, 20, 60, 60], [10, 200, 40, 240], [300, 10, 330, 40]])
    masks = head._predict_by_feat_single(
        torch.full((4, 1, 28, 28), 9.0), boxes, torch.zeros(4, dtype=torch.long), meta,
        Config({"mask_thr_binary": 0.5}), rescale=True,
    )  # fmt: skip
    assert masks.flatten(1).any(1).tolist() == [False, True, False, False]
    assert masks[1, 10:30, 10:30].all() and masks[1].sum() == 400
    assert boxes[1].tolist() == [10, 10, 30, 30]
