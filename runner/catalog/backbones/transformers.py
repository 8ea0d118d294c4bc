"""Vision transformers of MMDetection: name -> entry."""

from __future__ import annotations

from runner.catalog.backbones.base import ADAMW, Backbone

_PVT = "https://github.com/whai362/PVT/releases/download/v2"
_PVT_SOURCE = "mmdet/.mim/configs/pvt"


def _four(width: int) -> tuple[int, int, int, int]:
    return (width, 2 * width, 5 * width, 8 * width)


def _pvt_v2(name: str, width: int, layers: list[int], tiny_width: int) -> Backbone:
    return Backbone(
        f"pvtv2_{name}", f"PVTv2-{name.upper()}", f"arXiv:2106.13797; {_PVT_SOURCE}",
        config={
            "type": "PyramidVisionTransformerV2", "embed_dims": width, "num_layers": layers,
            "out_indices": (0, 1, 2, 3),
        },
        tiny={"embed_dims": tiny_width, "num_layers": [1, 1, 1, 1], "mlp_ratios": [4, 4, 4, 4]},
        channels=_four(width),
        tiny_channels=_four(tiny_width),
        norm="LN",
        imagenet=f"{_PVT}/pvt_v2_{name}.pth",
        optimizer=ADAMW, lr=0.0001, weight_decay=0.0001,
    )  # fmt: skip


TRANSFORMERS = (
    Backbone(
        "pvt_tiny", "PVT-Tiny", f"arXiv:2102.12122; {_PVT_SOURCE}",
        config={"type": "PyramidVisionTransformer", "num_layers": [2, 2, 2, 2], "out_indices": (0, 1, 2, 3)},
        tiny={"embed_dims": 16, "num_layers": [1, 1, 1, 1], "mlp_ratios": [4, 4, 4, 4]},
        channels=(64, 128, 320, 512),
        tiny_channels=(16, 32, 80, 128),
        norm="LN",
        imagenet=f"{_PVT}/pvt_tiny.pth",
        optimizer=ADAMW, lr=0.0001, weight_decay=0.0001,
    ),
    _pvt_v2("b0", 32, [2, 2, 2, 2], 8),
    _pvt_v2("b2", 64, [3, 4, 6, 3], 16),
    Backbone(
        "swin_tiny", "Swin-T", "arXiv:2103.14030; mmdet/.mim/configs/swin",
        config={
            "type": "SwinTransformer", "embed_dims": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24],
            "window_size": 7, "mlp_ratio": 4, "qkv_bias": True, "qk_scale": None, "drop_rate": 0.0,
            "attn_drop_rate": 0.0, "drop_path_rate": 0.2, "patch_norm": True, "out_indices": (0, 1, 2, 3),
            "with_cp": False, "convert_weights": True,
        },
        tiny={"embed_dims": 24, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8], "drop_path_rate": 0.0},
        channels=(96, 192, 384, 768),
        tiny_channels=(24, 48, 96, 192),
        norm="LN",
        imagenet="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
                 "swin_tiny_patch4_window7_224.pth",
        fresh=(r"^norm[0-3]\.",),  # one for each map; the classifier normalised its last one alone
        optimizer=ADAMW, lr=0.0001, weight_decay=0.05,
    ),
)  # fmt: skip
