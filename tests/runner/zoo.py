"""MMDetection's own models for one class, and batches to feed a model with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from runner.catalog import MODELS
from runner.configfile import zoo_config

TEAM = ("mask_rcnn", "cascade_mask_rcnn", "ms_rcnn", "htc", "scnet", "solov2")
# What replaces heads of MMDetection's that predict wrong masks or stop at batches without objects: same weights,
# same losses (runner/plugins/masks.py, empty_batches.py).
OURS = {
    "TrueSizeRTMDetInsHead": "RTMDetInsSepBNHead",
    "InsideDynamicMaskHead": "DynamicMaskHead",
    "LenientDIIHead": "DIIHead",
    "LenientPointRendRoIHead": "PointRendRoIHead",
}


def nodes(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ():
        yield from nodes(child)


def plain(node: Any) -> Any:
    """Without the difference between dict and ConfigDict, which no equality shows anyway."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    return type(node)(map(plain, node)) if isinstance(node, (list, tuple)) else node


def zoo_model(name: str) -> dict[str, Any]:
    """The zoo's model for one class on one device, without what wants labels we do not have or images of one size."""
    model: dict[str, Any] = plain(zoo_config(MODELS[name].zoo)["model"])
    if name == "scnet":
        del model["roi_head"]["semantic_head"], model["roi_head"]["semantic_roi_extractor"]
        del model["data_preprocessor"]["pad_seg"]
    if name == "mask2former":
        del model["data_preprocessor"]["batch_augments"]
        model["panoptic_head"]["num_things_classes"] = model["panoptic_fusion_head"]["num_things_classes"] = 1
        model["panoptic_head"]["loss_cls"]["class_weight"] = [1.0, 0.1]
    if name == "rtmdet_ins":  # its pipeline pads images to 640 x 640
        model["data_preprocessor"] |= {"pad_size_divisor": 32, "pad_mask": True}
    for node in nodes(model):
        if "num_classes" in node:
            node["num_classes"] = 1
        if node.get("type") == "SyncBN":
            node["type"] = "BN"
    return model


def batch(*counts: int, size: tuple[int, int] = (128, 128), original: tuple[int, int] | None = None) -> dict[str, Any]:
    """One image for each of `counts`, with as many round objects of one class; sizes are (height, width)."""
    draw = np.random.RandomState(0)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    first = original or size
    meta = {"ori_shape": first, "img_shape": size, "scale_factor": (width / first[1], height / first[0]), "img_id": 0}
    inputs, samples = [], []
    for count in counts:
        radius = draw.randint(6, min(size) // 4, count)
        x, y = draw.randint(radius, width - radius), draw.randint(radius, height - radius)
        masks = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2 <= radius[:, None, None] ** 2
        boxes = np.stack([x - radius, y - radius, x + radius + 1, y + radius + 1], 1).reshape(count, 4)
        pixels = draw.randint(0, 80, (3, height, width)) + 120 * masks.any(0)
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            labels=torch.zeros(count, dtype=torch.long),
            masks=BitmapMasks(masks.astype(np.uint8).reshape(count, height, width), height, width),
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
        inputs.append(torch.tensor(pixels, dtype=torch.uint8))
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}
