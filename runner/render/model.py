"""The zoo's model, with our number of classes, the scale and the fit to the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.catalog.models import TINY, Model
from runner.configfile import nodes
from runner.protocol import Combination, Scale


def set_model(config: dict[str, Any], entry: Model, combination: Combination, scale: Scale, classes: int) -> None:
    """Takes out what wants labels we do not have, shrinks at tiny, sets the classes; the backbone comes after."""
    model = config["model"]
    for path in entry.drop:
        node = model
        *parents, last = path.split(".")
        for key in parents:
            node = node[key]
        del node[last]
    if scale == "tiny":
        _shrink(model)
    for node in nodes(model):
        if "num_classes" in node:
            node["num_classes"] = classes


def _shrink(model: dict[str, Any]) -> None:
    for node in nodes({k: v for k, v in model.items() if k != "backbone"}):
        for key, replace in TINY.items():
            if isinstance(node.get(key), int) and node[key] in replace:
                node[key] = replace[node[key]]


def fit_model(model: dict[str, Any], fitted: Mapping[str, Any]) -> None:
    """Writes detections, proposals and anchors into the model; MMDetection's own where nothing was fitted."""
    test = model["test_cfg"]
    final = test.get("rcnn", test)
    final["max_per_img"] = fitted["detections"]
    if "proposals" not in fitted:
        return
    for rpn in (test.get("rpn"), model.get("train_cfg", {}).get("rpn_proposal")):
        if rpn is not None:
            rpn["max_per_img"] = max(rpn["max_per_img"], fitted["proposals"])
            rpn["nms_pre"] = max(rpn["nms_pre"], 2 * fitted["proposals"])
    if "nms_pre" in test:
        test["nms_pre"] = max(test["nms_pre"], 2 * fitted["detections"])
    for node in nodes(model):
        if node.get("type") == "AnchorGenerator":
            node["scales"] = [fitted["anchor_scale"]]
        if "scale_ranges" in node:  # SOLO: which level sees objects of which size, in pixels
            node["scale_ranges"] = [[max(1, round(x * fitted["size_factor"])) for x in r] for r in node["scale_ranges"]]
