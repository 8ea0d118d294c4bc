"""Parts of our own: a backbone, an augmentation, a model and an optimizer."""

from itertools import pairwise

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.model import BaseModule
from mmengine.registry import OPTIMIZERS
from torch import nn

from runner.catalog import Augmentation, Backbone, Entry, Model, Parameter, add


@MODELS.register_module()
class PlainNet(BaseModule):
    """Four stages of two convolutions; gives the maps of the stages in `out_indices`."""

    def __init__(self, width, out_indices=(0, 1, 2, 3), init_cfg=None):
        super().__init__(init_cfg)
        self.out_indices = out_indices
        widths = [3, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inside, outside, 3, stride=4 if inside == 3 else 2, padding=1),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
                nn.Conv2d(outside, outside, 3, padding=1),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
            )
            for inside, outside in pairwise(widths)
        )

    def forward(self, images):
        """(N, 3, H, W) -> maps at strides 4, 8, 16 and 32."""
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return tuple(maps[index] for index in self.out_indices)


add(
    Backbone(
        "plainnet",
        "PlainNet",
        "my_parts.py",
        config={"type": "PlainNet", "width": 64, "out_indices": (0, 1, 2, 3)},
        tiny={"width": 16},
        channels=(64, 128, 256, 512),
        tiny_channels=(16, 32, 64, 128),
    )
)


@TRANSFORMS.register_module()
class Grain(BaseTransform):
    """Adds a camera's noise, of standard deviation `sigma` in grey values."""

    def __init__(self, sigma):
        self.sigma = sigma

    def transform(self, results):
        """Changes the image alone: masks and boxes stay where they are."""
        noisy = results["img"] + np.random.normal(0, self.sigma, results["img"].shape)
        results["img"] = noisy.clip(0, 255).astype(results["img"].dtype)
        return results


add(
    Augmentation(
        "grain",
        "camera noise",
        "my_parts.py",
        parameters={"sigma": Parameter("float", 8.0, 0, 64, help="standard deviation in grey values")},
        transforms=({"type": "Grain", "sigma": "$sigma"},),
        strength=0.2,
    )
)

add(
    Model(
        "mask_rcnn_giou",
        "Mask R-CNN with GIoU boxes",
        "arXiv:1902.09630",
        zoo="mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
        values={
            "roi_head.bbox_head.reg_decoded_bbox": True,
            "roi_head.bbox_head.loss_bbox": {"type": "GIoULoss", "loss_weight": 10.0},
        },
    )
)


@OPTIMIZERS.register_module()
class SignSGD(torch.optim.Optimizer):
    """Steps by the sign of the gradient (arXiv:1802.04434)."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        """One step; mmengine calls it without a closure."""
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is not None:
                    weights.add_(weights.grad.sign(), alpha=-group["lr"])


add(
    Entry(
        "SignSGD",
        "SignSGD",
        "arXiv:1802.04434",
        {"lr": Parameter("float", 0.0001, 0, 1, log=True, help="length of each step", tiny=0.001)},
    ),
    part="optimizer",
)
