"""What each backbone costs at scale standard, as benchmarks/catalog_cost.py measured it (it prints these lines)."""

from __future__ import annotations

from collections.abc import Mapping

# name -> millions of parameters, MiB of forward and backward of one 256 x 256 image
COSTS: Mapping[str, tuple[float, int]] = {
    "resnet18": (11.18, 70),
    "resnet50": (23.51, 197),
    "resnet101": (42.50, 321),
    "resnext101_32x4d": (42.13, 370),
    "resnext101_64x4d": (81.41, 619),
    "resnet50_rsb": (23.51, 197),
    "resnet50_ga": (29.42, 238),
    "resnet50_gc": (33.51, 251),
    "res2net101": (43.18, 382),
    "regnetx_3_2gf": (14.29, 166),
    "resnest50": (25.43, 250),
    "efficientnet_b3": (10.10, 315),
    "hrnet_w32": (29.31, 306),
    "cspnext_s": (4.38, 61),
    "pvt_tiny": (12.71, 140),
    "pvtv2_b0": (3.41, 76),
    "pvtv2_b2": (24.85, 310),
    "swin_tiny": (27.52, 262),
    "convnext_tiny": (27.82, 242),
    "convnextv2_tiny": (27.87, 318),
    "swinv2_tiny": (27.58, 277),
    "dinov2_small": (22.72, 172),
}
