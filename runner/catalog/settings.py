"""Settings: what every trial has besides its parts."""

from __future__ import annotations

from collections.abc import Mapping

from runner.catalog.base import Parameter

SETTINGS: Mapping[str, Parameter] = {
    "epochs": Parameter("int", None, 1, 10_000, help="epochs of one trial; default: MMDetection's 12, fitted at tiny"),
    "batch_size": Parameter("int", 2, 1, 1024, help="images per iteration"),
    "image_size": Parameter("int", None, 32, 8192, help="longest side in pixels, or [width, height]"),
    "lr": Parameter("float", None, 0, 1000, log=True, help="the optimizer's learning rate"),
    "seed": Parameter("int", 0, 0, 2**31 - 1, help="seed of the trial"),
    "pretrained": Parameter("str", None, help="none, imagenet, or the path of a checkpoint"),
    "adapt": Parameter("str", "auto", choices=("auto", "off"), help="fit detections, proposals, anchors to the data"),
}
