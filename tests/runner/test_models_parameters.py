"""Parameters of models: each is written where it says and nowhere else, and what cannot stand together is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData
from trials import combination, part, paths
from zoo import batch, plain

from runner import plugins  # noqa: F401  registers our heads
from runner.catalog import MODELS, Parameter
from runner.errors import UserError
from runner.protocol import Objective, Scale
from runner.render import render

EVERY = [(model, name) for model, entry in MODELS.items() for name in entry.parameters]
RCNN = ("mask_rcnn", "ms_rcnn", "point_rend")
CASCADES = ("cascade_mask_rcnn", "htc", "scnet")


def config(name: str, scale: Scale = "tiny", **params: Any) -> dict[str, Any]:
    trial = combination(name, scale=scale, image_size=[128, 128])
    trial = trial.model_copy(update={"model": part("model", name, scale, **params)})
    return plain(render(trial, 7, scale, paths(classes=("ring",)), Objective(), 100)["model"])  # type: ignore[no-any-return]


def other(parameter: Parameter) -> Any:
    """A value that is not the default, nor MMDetection's own."""
    if parameter.choices:
        return parameter.choices[-1]
    assert parameter.low is not None and parameter.high is not None
    middle = parameter.low + (parameter.high - parameter.low) * 0.37
    return max(int(middle), 2) if parameter.kind == "int" else round(middle, 3)


def leaves(node: Any, where: str = "") -> dict[str, Any]:
    """Dotted path -> value; lists of numbers are values."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else None
    if children is None:
        return {where: node}
    return {key: leaf for name, child in children for key, leaf in leaves(child, f"{where}.{name}").items()}


@pytest.mark.parametrize(("model", "name"), EVERY)
def test_a_parameter_changes_the_config(model: str, name: str) -> None:
    parameter = MODELS[model].parameters[name]
    value = other(parameter)
    assert parameter.problem(value) is None
    assert parameter.help and not parameter.help.endswith(".")
    assert parameter.tiny is None or parameter.problem(parameter.tiny) is None
    # an ordered pair is set together
    both = {"rpn_neg_iou": "rpn_pos_iou", "neg_iou": "pos_iou", "iou_low": "iou_high"}
    beside = {both[name]: 0.9} if name in both else {"rpn_neg_iou": 0.1} if name == "rpn_pos_iou" else {}
    beside |= {"iou_low": 0.2} if name == "iou_high" else {}
    before, after = leaves(config(model, **beside)), leaves(config(model, **beside, **{name: value}))
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed, f"{name} changes nothing"
    if not parameter.choices and name not in ("queries", "stages", "iou_low", "iou_high", "anchor_scale"):
        assert {after[key] for key in changed} == {value}


@pytest.mark.parametrize("model", MODELS)
def test_none_is_mmdetections_own(model: str) -> None:
    """Without a word nothing is written: what the catalog names as MMDetection's own is what the zoo has."""
    entry = MODELS[model]
    own = config(model, "standard")
    for pair in entry.group.ordered:
        for name, value in ((pair.low, pair.low_own), (pair.high, pair.high_own)):
            if name == "neg_iou":
                continue
            assert config(model, "standard", **{name: value}) == own
    explicit = {name for name, p in entry.parameters.items() if p.default is not None}
    assert explicit <= {"stages", "decoder_layers", "points", "mask_size"}
    assert config(model, "standard", **dict.fromkeys(explicit)) == own


@pytest.mark.parametrize("model", CASCADES)
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"iou_low": 0.3, "iou_high": 0.6}, [0.3, 0.45, 0.6]),
        ({"iou_low": 0.3}, [0.3, 0.5, 0.7]),
        ({"iou_high": 0.6}, [0.5, 0.55, 0.6]),
        ({"iou_low": 0.4, "iou_high": 0.4}, [0.4, 0.4, 0.4]),
        ({}, [0.5, 0.6, 0.7]),
    ],
)
def test_the_thresholds_of_a_cascade(model: str, params: dict[str, float], expected: list[float]) -> None:
    assigners = [stage["assigner"] for stage in config(model, **params)["train_cfg"]["rcnn"]]
    for key in ("pos_iou_thr", "neg_iou_thr", "min_pos_iou"):
        assert [assigner[key] for assigner in assigners] == expected


@pytest.mark.parametrize("model", RCNN)
def test_the_thresholds_of_proposals(model: str) -> None:
    def thresholds(**params: float) -> list[float]:
        assigner = config(model, **params)["train_cfg"]["rcnn"]["assigner"]
        return [assigner[key] for key in ("pos_iou_thr", "neg_iou_thr", "min_pos_iou")]

    assert thresholds() == [0.5, 0.5, 0.5]
    assert thresholds(pos_iou=0.4) == [0.4, 0.4, 0.4]
    assert thresholds(pos_iou=0.6, neg_iou=0.3) == [0.6, 0.3, 0.6]


@pytest.mark.parametrize(
    ("model", "params", "found"),
    [
        ("mask_rcnn", {"rpn_pos_iou": 0.4, "rpn_neg_iou": 0.5}, "rpn_neg_iou 0.5 above rpn_pos_iou 0.4"),
        ("solov2", {}, ""),
        ("ms_rcnn", {"rpn_pos_iou": 0.2}, "rpn_neg_iou 0.3 (MMDetection's own) above rpn_pos_iou 0.2"),
        ("htc", {"rpn_neg_iou": 0.8}, "rpn_neg_iou 0.8 above rpn_pos_iou 0.7 (MMDetection's own)"),
        ("point_rend", {"pos_iou": 0.4, "neg_iou": 0.6}, "neg_iou 0.6 above pos_iou 0.4"),
        ("point_rend", {"neg_iou": 0.6}, "neg_iou 0.6 above pos_iou 0.5 (MMDetection's own)"),
        ("scnet", {"iou_low": 0.6, "iou_high": 0.3}, "iou_low 0.6 above iou_high 0.3"),
        ("cascade_mask_rcnn", {"iou_low": 0.8}, "iou_low 0.8 above iou_high 0.7 (MMDetection's own)"),
    ],
)
def test_a_contradiction_is_refused(model: str, params: dict[str, float], found: str) -> None:
    assert MODELS[model].contradiction({}) is None
    if not params:
        return
    low, high = (name for name in found.replace("above", "").split() if "iou" in name)
    message = f"{model}: expected {low} of at most {high}, found {found}"
    assert MODELS[model].contradiction(params) == message
    with pytest.raises(UserError) as caught:
        config(model, **params)
    assert str(caught.value) == message


def test_why_a_contradiction_is_refused() -> None:
    """MMDetection takes it without a word: the upper bound of background is ignored."""
    register_all_modules(init_default_scope=True)
    boxes = InstanceData(priors=torch.tensor([[0.0, 0, 10, 4.5]]))  # IoU 0.45
    truth = InstanceData(bboxes=torch.tensor([[0.0, 0, 10, 10]]), labels=torch.tensor([0]))
    for neg, assigned in ((0.5, 1), (0.4, 1)):
        result = MaxIoUAssigner(pos_iou_thr=0.4, neg_iou_thr=neg, match_low_quality=False).assign(boxes, truth)
        assert result.gt_inds.tolist() == [assigned]


def variant(model: str, number: int) -> dict[str, Any]:
    """Every parameter with choices at its choice of this number, counted from the last."""
    chosen = {name: p.choices for name, p in MODELS[model].parameters.items() if p.choices}
    return {name: choices[-1 - number % len(choices)] for name, choices in chosen.items()}


def works(model: str, params: dict[str, Any]) -> None:
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    lowest = {name: 0.0 for name in ("score_threshold", "filter_threshold") if name in MODELS[model].parameters}
    built = MMDET_MODELS.build(Config({"model": config(model, **params, **lowest)}).model)
    built.init_weights()
    built.train()
    losses = built.forward(**built.data_preprocessor(batch(3, 4), training=True), mode="loss")
    loss, _ = built.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    built.eval()
    with torch.no_grad():
        (found,) = built.forward(**built.data_preprocessor(batch(2), training=False), mode="predict")
    assert found.pred_instances.masks.shape[1:] == (128, 128) and len(found.pred_instances) > 0


_ONE_OF_A_KIND = ("mask_rcnn", "scnet", "rtmdet_ins", "queryinst")
VARIANTS = [
    pytest.param(model, number, marks=() if number == 0 and model in _ONE_OF_A_KIND else pytest.mark.slow)
    for model in MODELS
    for number in range(4)
]


@pytest.mark.parametrize(("model", "number"), VARIANTS)
def test_every_choice_trains_and_predicts(model: str, number: int) -> None:
    works(model, variant(model, number))


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("queryinst", {"stages": 1, "queries": 10}),
        ("queryinst", {"stages": 6}),
        ("mask2former", {"decoder_layers": 1, "queries": 10, "points": 64}),
        ("condinst", {"center_radius": 0.5}),
        ("rtmdet_ins", {"candidates": 1}),
        ("solov2", {"positive_scale": 1.0}),
        ("point_rend", {"points": 16}),
        ("mask_rcnn", {"anchor_scale": 0.5, "rpn_nms_iou": 0.95, "pos_iou": 0.95}),
    ],
)
def test_the_ends_of_ranges_train_and_predict(model: str, params: dict[str, Any]) -> None:
    works(model, params)
