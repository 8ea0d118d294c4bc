"""Settings: what every trial has besides its parts."""

from __future__ import annotations

from collections.abc import Mapping

from runner.catalog.base import Parameter

SETTINGS: Mapping[str, Parameter] = {
    "epochs": Parameter("int", None, 1, 10_000, help="epochs of one trial; default: MMDetection's 12, fitted at tiny"),
    "batch_size": Parameter("int", 2, 1, 1024, help="images per iteration"),
    "image_size": Parameter("int", None, 32, 8192, help="longest side in pixels, or [width, height]"),
    "train_share": Parameter("float", 1.0, 1e-6, 1, log=True, help="share of the labelled training images that are "
                             "trained, the same ones in every trial, spread over the label file"),
    "lr": Parameter("float", None, 0, 1000, log=True, help="the optimizer's learning rate"),
    "seed": Parameter("int", 0, 0, 2**31 - 1, help="seed of the trial"),
    "pretrained": Parameter("str", None, help="none; imagenet (the backbone's), coco (the whole model's, without other "
                            "classes); or a path, URL (#sha256=HEX) or hub id (org/name) of weights"),
    "adapt": Parameter("str", "auto", choices=("auto", "off"), help="fit detections, proposals, anchors to the data"),
    "clip_grad": Parameter("float", None, 0, 1e9, log=True, help="largest norm of the gradient, 0: none; default: "
                           "MMDetection's own, 35 at tiny, none for LBFGS"),
    "accumulate": Parameter("int", 1, 1, 1024, help="iterations whose gradients are averaged for one update"),
    "amp": Parameter("bool", False, help="mixed precision: float16 on a GPU, bfloat16 on a CPU and under LBFGS"),
    "ema": Parameter("float", 0.0, 0, 0.5, log=True, help="momentum of the averaged weights that are validated and "
                     "kept (RTMDet's is 0.0002), 0: none"),
    "layer_decay": Parameter("float", None, 0.01, 1, own=1.0,
                             help="factor of the learning rate from each layer of the backbone to the one below "
                             "(at most 12 layers); default: MMDetection's own, none"),
    "norm_decay": Parameter("float", None, 0, 1, help="factor of weight_decay on norms and biases; default: "
                            "MMDetection's own"),
}  # fmt: skip
