"""ResNet and its family: name -> entry."""

from __future__ import annotations

from typing import Any

from runner.catalog.backbones.base import ADAMW, BGR, Backbone

_RESNET: dict[str, Any] = {
    "type": "ResNet",
    "num_stages": 4,
    "out_indices": (0, 1, 2, 3),
    "frozen_stages": 1,
    "norm_cfg": {"type": "BN", "requires_grad": True},
    "norm_eval": True,
    "style": "pytorch",
}
# arXiv:1904.05873 in the last two stages: content and position of query and key, keys at half the resolution
_ATTENTION = {
    "cfg": {
        "type": "GeneralizedAttention", "spatial_range": -1, "num_heads": 8, "attention_type": "1111", "kv_stride": 2,
    },
    "stages": (False, False, True, True),
    "position": "after_conv2",
}  # fmt: skip
_CONTEXT = {
    "cfg": {"type": "ContextBlock", "ratio": 1 / 4},
    "stages": (False, True, True, True),
    "position": "after_conv3",
}


def _resnext(groups: int) -> Backbone:
    return Backbone(
        f"resnext101_{groups}x4d", f"ResNeXt-101-{groups}x4d", "arXiv:1611.05431",
        config={**_RESNET, "type": "ResNeXt", "depth": 101, "groups": groups, "base_width": 4},
        tiny={"base_channels": 16, "groups": 8 if groups == 32 else 12},
        imagenet=f"open-mmlab://resnext101_{groups}x4d",
    )  # fmt: skip


RESNETS = (
    Backbone(
        "resnet18", "ResNet-18", "arXiv:1512.03385",
        config={**_RESNET, "depth": 18},
        tiny={"base_channels": 16},
        channels=(64, 128, 256, 512),
        tiny_channels=(16, 32, 64, 128),
        imagenet="torchvision://resnet18",
    ),
    Backbone(
        "resnet50", "ResNet-50", "arXiv:1512.03385",
        config={**_RESNET, "depth": 50},
        tiny={"base_channels": 16},
        imagenet="torchvision://resnet50",
    ),
    Backbone(
        "resnet101", "ResNet-101", "arXiv:1512.03385",
        config={**_RESNET, "depth": 101},
        tiny={"base_channels": 8},
        tiny_channels=(32, 64, 128, 256),
        imagenet="torchvision://resnet101",
    ),
    _resnext(32),
    _resnext(64),
    Backbone(
        "resnet50_rsb", "ResNet strikes back (50)", "arXiv:2110.00476; mmdet/.mim/configs/resnet_strikes_back",
        config={**_RESNET, "depth": 50},
        tiny={"base_channels": 16},
        imagenet="https://download.openmmlab.com/mmclassification/v0/resnet/"
                 "resnet50_8xb256-rsb-a1-600e_in1k_20211228-20e21305.pth",
        prefix="backbone.",
        optimizer=ADAMW, lr=0.0002, weight_decay=0.05,
    ),
    Backbone(
        "resnet50_ga", "Generalized Attention (ResNet-50)", "arXiv:1904.05873; mmdet/.mim/configs/empirical_attention",
        config={**_RESNET, "depth": 50, "plugins": [_ATTENTION]},
        tiny={"base_channels": 16},
        imagenet="torchvision://resnet50",
        fresh=("gen_attention_block",),
    ),
    Backbone(
        "resnet50_gc", "GCNet (ResNet-50, ratio 1/4)", "arXiv:1904.11492; mmdet/.mim/configs/gcnet",
        config={**_RESNET, "depth": 50, "plugins": [_CONTEXT]},
        tiny={"base_channels": 16},
        imagenet="torchvision://resnet50",
        fresh=("context_block",),
    ),
    Backbone(
        "res2net101", "Res2Net-101", "arXiv:1904.01169; mmdet/.mim/configs/res2net",
        config={**_RESNET, "type": "Res2Net", "depth": 101, "scales": 4, "base_width": 26},
        tiny={"base_channels": 8, "base_width": 4},
        tiny_channels=(32, 64, 128, 256),
        imagenet="open-mmlab://res2net101_v1d_26w_4s",
    ),
    Backbone(
        "regnetx_3_2gf", "RegNetX-3.2GF", "arXiv:2003.13678; mmdet/.mim/configs/regnet",
        config={
            **{key: value for key, value in _RESNET.items() if key != "num_stages"},
            "type": "RegNet", "arch": "regnetx_3.2gf",
        },
        tiny={"arch": {"w0": 16, "wa": 10.0, "wm": 1.9, "group_w": 8, "depth": 10, "bot_mul": 1.0}},
        channels=(96, 192, 432, 1008),
        tiny_channels=(16, 32, 56, 112),
        imagenet="open-mmlab://regnetx_3.2gf",
        pixels=BGR,
        weight_decay=0.00005,
    ),
    Backbone(
        "resnest50", "ResNeSt-50", "arXiv:2004.08955; mmdet/.mim/configs/resnest",
        config={
            **_RESNET, "type": "ResNeSt", "depth": 50, "norm_eval": False,
            "norm_cfg": {"type": "LenientBN", "requires_grad": True},
            "stem_channels": 64, "radix": 2, "reduction_factor": 4, "avg_down_stride": True,
        },
        tiny={"base_channels": 16, "stem_channels": 16},
        imagenet="open-mmlab://resnest50",
        pixels={"mean": [123.68, 116.779, 103.939], "std": [58.393, 57.12, 57.375], "bgr_to_rgb": True},
    ),
)  # fmt: skip
