"""The zoo's model, with our number of classes, the scale, the fit to the data and the parameters."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from runner.catalog.models import TINY, Model
from runner.configfile import nodes, set_path, zoo_config
from runner.errors import UserError
from runner.protocol import Combination, Scale

# Loaders, loops, hooks and logs of every model are those of the 1x configs of instance segmentation: other zoo
# configs count iterations instead of epochs, draw images without end or switch pipelines late.
_FRAME = "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
_OWN = ("model", "optim_wrapper")
# mmdet/models/dense_heads/fcos_head.py
_FCOS_RANGES = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8))


@functools.cache
def _frame() -> dict[str, Any]:
    return zoo_config(_FRAME)


def set_model(config: dict[str, Any], entry: Model, combination: Combination, scale: Scale, classes: int) -> None:
    """Takes out what wants labels we do not have, shrinks at tiny, sets the classes; the backbone comes after."""
    own = {key: config[key] for key in _OWN}
    config.clear()
    config.update(copy.deepcopy(_frame()) | own)
    model = config["model"]
    for path in entry.drop:
        *parents, last = path.split(".")
        node = model
        for key in parents:
            node = node[key]
        del node[last]
    for path, value in entry.values.items():
        _write(model, path.split("."), value)
    if scale == "tiny":
        _shrink(model)
    for node in nodes(model):
        _set_classes(node, classes)
        if node.get("type") == "SyncBN":  # one device
            node["type"] = "BN"


def _set_classes(node: dict[str, Any], classes: int) -> None:
    if "num_classes" in node:
        node["num_classes"] = classes
    if "num_things_classes" in node:
        node.update(num_things_classes=classes, num_stuff_classes=0)
        if "loss_cls" in node:  # the last weight is that of no object
            weights = node["loss_cls"]["class_weight"]
            node["loss_cls"]["class_weight"] = [*weights[:1] * classes, weights[-1]]


def _shrink(model: dict[str, Any]) -> None:
    for node in nodes({k: v for k, v in model.items() if k != "backbone"}):
        for key, replace in TINY.items():
            if isinstance(node.get(key), int) and node[key] in replace:
                node[key] = replace[node[key]]


def fit_model(
    model: dict[str, Any], entry: Model, combination: Combination, fitted: Mapping[str, Any], classes: int
) -> None:
    """Writes detections, proposals and anchors as fitted, then what the parameters say, which holds over the fit.

    Raises:
        UserError: two parameters contradict each other.
    """
    if "proposals" in fitted:
        _fit(model, entry, fitted)
    _set_parameters(model, entry, combination.model.params)
    test = model["test_cfg"]
    final = test.get("rcnn", test)
    cap = fitted["detections"]
    if entry.queries:  # its best ones are picked among queries x classes
        cap = min(cap, _get(model, entry.queries) * classes)
    final["max_per_image" if "max_per_image" in final else "max_per_img"] = cap


def _fit(model: dict[str, Any], entry: Model, fitted: Mapping[str, Any]) -> None:
    test, train = model["test_cfg"], model.get("train_cfg") or {}
    for rpn in (test.get("rpn"), train.get("rpn_proposal")):
        if rpn is not None:
            rpn["max_per_img"] = max(rpn["max_per_img"], fitted["proposals"])
            rpn["nms_pre"] = max(rpn["nms_pre"], 2 * fitted["proposals"])
    if "nms_pre" in test:
        test["nms_pre"] = max(test["nms_pre"], 2 * fitted["detections"])
    if entry.queries:
        set_path(model, entry.queries, max(_get(model, entry.queries), fitted["detections"]))
    factor = fitted["size_factor"]
    for node in nodes(model):
        if node.get("type") == "AnchorGenerator":
            node["scales"] = [fitted["anchor_scale"]]
        if "scale_ranges" in node:  # SOLO: which level sees objects of which size, in pixels
            node["scale_ranges"] = [[max(1, round(x * factor)) for x in r] for r in node["scale_ranges"]]
        if node.get("type") == "CondInstBboxHead":  # the same, as distances from a point to a box's sides
            node["regress_ranges"] = [[x if x in (-1, 1e8) else round(x * factor) for x in r] for r in _FCOS_RANGES]


def _set_parameters(model: dict[str, Any], entry: Model, params: Mapping[str, Any]) -> None:
    if problem := entry.contradiction(params):
        raise UserError(problem)
    if params.get("stages"):
        _cut_stages(model, params["stages"])
    # in the order of the catalog, in which later ones hold over earlier ones
    for name, paths in entry.group.sets.items():
        if (value := params.get(name)) is not None:
            for path in paths:
                _write(model, path.split("."), value)
    for name, choices in entry.group.choices.items():
        if (value := params.get(name)) is not None:
            for path, content in choices[value].items():
                _write(model, path.split("."), content)
    for path in entry.group.spread:
        _spread(model, path, params.get("iou_low"), params.get("iou_high"))


def _cut_stages(model: dict[str, Any], stages: int) -> None:
    """Keeps the first `stages` stages of a cascade."""
    head, train = model["roi_head"], model["train_cfg"]
    head["num_stages"] = stages
    for name in ("stage_loss_weights", "bbox_head", "mask_head"):
        head[name] = head[name][:stages]
    train["rcnn"] = train["rcnn"][:stages]


def _spread(model: dict[str, Any], path: str, low: float | None, high: float | None) -> None:
    """Writes numbers spread evenly from `low` to `high` over the stages; None keeps the zoo's end."""
    if low is None and high is None:
        return
    where, inside = path.split(".*.")
    stages = _get(model, where)
    values = [_get(stage, inside) for stage in stages]
    first = values[0] if low is None else low
    last = values[-1] if high is None else high
    for number, stage in enumerate(stages):
        share = number / max(1, len(stages) - 1)
        set_path(stage, inside, round(first + share * (last - first), 4))


def _get(node: Any, path: str) -> Any:
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, (list, tuple)) else node[key]
    return node


def _write(node: Any, keys: list[str], value: Any) -> None:
    """Writes at a path of the catalog; ``*`` is every item of a list, or the node itself."""
    key, *rest = keys
    if key == "*":
        for item in node if isinstance(node, list) else [node]:
            _write(item, rest, value)
        return
    at: Any = int(key) if isinstance(node, list) else key
    if rest:
        _write(node[at], rest, value)
    else:
        node[at] = copy.deepcopy(value)
