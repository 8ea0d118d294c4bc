"""Any backbone under any model: its config at the scale, and its channels where the model takes them."""

from __future__ import annotations

import copy
from typing import Any

from runner.catalog.backbones import Backbone
from runner.catalog.models import Model
from runner.configfile import set_path
from runner.protocol import Combination, Scale


def put_backbone(
    model: dict[str, Any], entry: Model, backbone: Backbone, combination: Combination, scale: Scale
) -> None:
    """Replaces the zoo's backbone and tells the model the channels of the maps it takes."""
    pretrained = combination.settings["pretrained"]
    # a copy: what a path under `config` sets below it must not reach the catalog
    model["backbone"] = copy.deepcopy({**backbone.config, **(backbone.tiny if scale == "tiny" else {})})
    channels = backbone.tiny_channels if scale == "tiny" else backbone.channels
    for path in entry.takes:
        set_path(model, path, [channels[index] for index in entry.maps])
    if pretrained == "imagenet":
        model["backbone"]["init_cfg"] = {"type": "Pretrained", "checkpoint": backbone.imagenet}
    elif pretrained == "none" and "norm_eval" in model["backbone"]:
        # frozen random layers and frozen random statistics would never learn
        model["backbone"].update(frozen_stages=-1, norm_eval=False)
