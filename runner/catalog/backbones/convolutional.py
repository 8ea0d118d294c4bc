"""Convolutional backbones that are no ResNets: name -> entry."""

from __future__ import annotations

from typing import Any

from runner.catalog.backbones.base import ADAMW, BGR, Backbone

_MMCLS = "https://download.openmmlab.com/mmclassification/v0"


def _hrnet(width: int, modules: tuple[int, int], blocks: int, bottlenecks: int, stem: int) -> dict[str, Any]:
    """HRNet's stages: branch i of every stage has ``width * 2**i`` channels and `blocks` blocks a module."""

    def stage(number: int, branches: int) -> dict[str, Any]:
        return {
            "num_modules": number, "num_branches": branches, "block": "BASIC", "num_blocks": (blocks,) * branches,
            "num_channels": tuple(width * 2**i for i in range(branches)),
        }  # fmt: skip

    first = {"num_modules": 1, "num_branches": 1, "block": "BOTTLENECK", "num_blocks": (bottlenecks,),
             "num_channels": (stem,)}  # fmt: skip
    return {"stage1": first, "stage2": stage(1, 2), "stage3": stage(modules[0], 3), "stage4": stage(modules[1], 4)}


CONVOLUTIONAL = (
    Backbone(
        "efficientnet_b3", "EfficientNet-B3", "arXiv:1905.11946; mmdet/.mim/configs/efficientnet",
        config={
            # the zoo gives stages 3 to 5 to RetinaNet; stage 2 has stride 4
            "type": "EfficientNet", "arch": "b3", "drop_path_rate": 0.2, "out_indices": (2, 3, 4, 5),
            "frozen_stages": 0,
            "norm_cfg": {"type": "BN", "requires_grad": True, "eps": 0.001, "momentum": 0.01},
            "norm_eval": False,
        },
        tiny={"arch": "b0", "drop_path_rate": 0.0},
        channels=(32, 48, 136, 384),
        tiny_channels=(24, 40, 112, 320),
        imagenet=f"{_MMCLS}/efficientnet/efficientnet-b3_3rdparty_8xb32-aa_in1k_20220119-5b4887a0.pth",
        prefix="backbone",
    ),
    Backbone(
        "hrnet_w32", "HRNetV2p-W32", "arXiv:1904.04514; mmdet/.mim/configs/hrnet",
        config={"type": "HRNet", "extra": _hrnet(32, (4, 3), 4, 4, 64), "norm_cfg": {"type": "BN"}, "norm_eval": True},
        tiny={"extra": _hrnet(8, (1, 1), 1, 1, 16)},
        channels=(32, 64, 128, 256),
        tiny_channels=(8, 16, 32, 64),
        imagenet="open-mmlab://msra/hrnetv2_w32",
        neck="HRFPN",
        pick="PickedHRNet",
    ),
    Backbone(
        "cspnext_s", "CSPNeXt-s (RTMDet)", "arXiv:2212.07784; mmdet/.mim/configs/rtmdet",
        config={
            # RTMDet takes stages 2 to 4; stage 1 has stride 4
            "type": "CSPNeXt", "arch": "P5", "out_indices": (1, 2, 3, 4), "expand_ratio": 0.5,
            "deepen_factor": 0.33, "widen_factor": 0.5, "channel_attention": True, "norm_cfg": {"type": "BN"},
            "act_cfg": {"type": "SiLU", "inplace": True},
        },
        tiny={"deepen_factor": 0.1, "widen_factor": 0.125},
        channels=(64, 128, 256, 512),
        tiny_channels=(16, 32, 64, 128),
        imagenet="https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/"
                 "cspnext-s_imagenet_600e.pth",
        prefix="backbone.",
        pixels=BGR,
        optimizer=ADAMW, lr=0.001, weight_decay=0.05,  # the zoo's 0.004 is for 256 images: a quarter for 16
    ),
)  # fmt: skip
