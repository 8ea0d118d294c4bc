"""Combinations that cannot work, each with its reason: `sweep check` refuses them before any trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runner.catalog.backbones import BACKBONES
from runner.catalog.models import MODELS
from runner.catalog.optimizers import OPTIMIZERS
from runner.catalog.zoo_weights import COCO
from runner.protocol import Scalar


@dataclass(frozen=True)
class Limit:
    """What cannot work together. For what cannot, not for what nobody has made work.

    Attributes:
        when: part or setting -> names or values; it applies where every key has one of them, as a rule of ``forbid``.
        reason: why, as one sentence that goes on after the names ("mask2former has no boxes to crop by").
        scale: where it applies; None is everywhere.
        above, below: setting -> number; it applies where the setting is greater, or smaller ({"accumulate": 1}).
    """

    when: Mapping[str, tuple[Scalar, ...]]
    reason: str
    scale: Literal["tiny", "standard"] | None = None
    above: Mapping[str, float] = field(default_factory=dict)
    below: Mapping[str, float] = field(default_factory=dict)


_TINY = Limit(
    {"pretrained": ("imagenet", "coco")},
    "those weights have the channels of scale standard; write none, or the path of weights trained at tiny",
    scale="tiny",
)
_LBFGS = Limit(
    {"optimizer": ("LBFGS",)},
    "one step over all weights has no learning rate of its own for each layer",
    below={"layer_decay": 1},
)


def catalog_limits() -> tuple[Limit, ...]:
    """All limits, those of a user's own entries as well."""
    unknown = tuple(name for name, backbone in BACKBONES.items() if backbone.imagenet is None)
    decayless = tuple(name for name, optimizer in OPTIMIZERS.items() if "weight_decay" not in optimizer.parameters)
    imagenet = Limit(
        {"pretrained": ("imagenet",), "backbone": unknown}, "the catalog knows no ImageNet weights of it", "standard"
    )
    norms = Limit(
        {"optimizer": decayless}, "it has no weight decay that norms could have less of", below={"norm_decay": 1}
    )
    coco = (
        Limit(
            {
                "model": (model,),
                "backbone": tuple(name for name in BACKBONES if (model, name) not in COCO),
                "pretrained": ("coco",),
            },
            "MMDetection's zoo has no COCO weights of this model with this backbone",
            scale="standard",
        )
        for model in MODELS
    )
    return (_TINY, *((imagenet,) if unknown else ()), *coco, _LBFGS, norms)
