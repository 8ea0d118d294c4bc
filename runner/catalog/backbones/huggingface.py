"""Backbones of Hugging Face's transformers, through ``HFBackbone`` (runner/plugins/hf_backbone.py): name -> entry.

Any other ``AutoBackbone`` with four stages, or a plain vision transformer, joins the same way from a user's own file.
There is no entry for "any hub id": the channels of the maps must be known before a model is built, and only the
code of the backbone derives them from its config.
"""

from __future__ import annotations

from typing import Any

from runner.catalog.backbones.base import ADAMW, Backbone


def _hf(model_type: str, **config: Any) -> dict[str, Any]:
    return {"type": "HFBackbone", "model_type": model_type, "config": config, "out_indices": (0, 1, 2, 3)}


HUGGING_FACE = (
    Backbone(
        "convnext_tiny", "ConvNeXt-T", "arXiv:2201.03545; transformers.ConvNextBackbone",
        # layer scale and drop path as mmdet/.mim/configs/convnext has them
        config=_hf(
            "convnext", depths=[3, 3, 9, 3], hidden_sizes=[96, 192, 384, 768], drop_path_rate=0.4,
            layer_scale_init_value=1.0,
        ),
        tiny={"config": {"depths": [1, 1, 2, 1], "hidden_sizes": [16, 32, 64, 128], "layer_scale_init_value": 1.0}},
        channels=(96, 192, 384, 768),
        tiny_channels=(16, 32, 64, 128),
        norm="LN",
        imagenet="facebook/convnext-tiny-224",
        fresh=("hidden_states_norms",),
        optimizer=ADAMW, lr=0.0001, weight_decay=0.05,
    ),
    Backbone(
        "convnextv2_tiny", "ConvNeXt V2-T", "arXiv:2301.00808; transformers.ConvNextV2Backbone",
        config=_hf("convnextv2", depths=[3, 3, 9, 3], hidden_sizes=[96, 192, 384, 768], drop_path_rate=0.4),
        tiny={"config": {"depths": [1, 1, 2, 1], "hidden_sizes": [16, 32, 64, 128]}},
        channels=(96, 192, 384, 768),
        tiny_channels=(16, 32, 64, 128),
        norm="LN, GRN",
        imagenet="facebook/convnextv2-tiny-1k-224",
        fresh=("hidden_states_norms",),
        optimizer=ADAMW, lr=0.0001, weight_decay=0.05,
    ),
    Backbone(
        "swinv2_tiny", "Swin V2-T", "arXiv:2111.09883; transformers.Swinv2Backbone",
        config=_hf(
            "swinv2", image_size=256, window_size=8, embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24],
            drop_path_rate=0.2,
        ),
        tiny={
            "config": {
                "image_size": 256, "window_size": 8, "embed_dim": 24, "depths": [2, 2, 2, 2],
                "num_heads": [1, 2, 4, 8], "drop_path_rate": 0.0,
            },
        },
        channels=(96, 192, 384, 768),
        tiny_channels=(24, 48, 96, 192),
        norm="LN",
        imagenet="microsoft/swinv2-tiny-patch4-window8-256",
        optimizer=ADAMW, lr=0.0001, weight_decay=0.05,
    ),
    Backbone(
        "dinov2_small", "DINOv2 ViT-S/14", "arXiv:2304.07193; arXiv:2203.16527; transformers.Dinov2Backbone",
        config=_hf(
            "dinov2", image_size=518, patch_size=14, hidden_size=384, num_hidden_layers=12, num_attention_heads=6,
            drop_path_rate=0.1,
        ),
        tiny={
            "config": {
                "image_size": 112, "patch_size": 14, "hidden_size": 96, "num_hidden_layers": 4,
                "num_attention_heads": 3,
            },
        },
        channels=(96, 192, 384, 384),
        tiny_channels=(24, 48, 96, 96),
        norm="LN",
        imagenet="facebook/dinov2-small",
        fresh=("pyramid",),
        # ViTDet's recipe
        optimizer=ADAMW, lr=0.0001, weight_decay=0.1,
    ),
)  # fmt: skip
