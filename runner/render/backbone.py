"""Any backbone under any model: its config at the scale, its maps and channels where the model takes them."""

from __future__ import annotations

import copy
from typing import Any

from runner.catalog.backbones import Backbone
from runner.catalog.models import Model
from runner.configfile import set_path
from runner.protocol import Combination, Scale

# what a model's zoo config may say of the training of its own backbone (Mask2Former freezes no stage of ResNet)
_TRAINING = ("frozen_stages", "norm_cfg", "norm_eval")


def put_backbone(
    model: dict[str, Any], entry: Model, backbone: Backbone, combination: Combination, scale: Scale
) -> None:
    """Replaces the zoo's backbone, gives the model its maps, and their channels and its pixels as it wants them.

    Args:
        model: the model's config, with the zoo's own backbone; changed in place.
        entry: which of the four maps it takes, and who is told their channels.
        backbone: what is put in.
        combination: for the setting ``pretrained``: with ``none`` nothing is frozen and nothing is loaded.
        scale: tiny or standard.
    """
    pretrained = combination.settings["pretrained"]
    # a copy: what a path under `config` sets below it must not reach the catalog
    config = copy.deepcopy({**backbone.config, **(backbone.tiny if scale == "tiny" else {})})
    if len(entry.maps) < 4:
        config["type"] = backbone.pick or config["type"]
        config["out_indices"] = tuple(config.get("out_indices", range(4))[index] for index in entry.maps)
    if pretrained == "none":
        learn_everything(config)
    else:
        _train_as(config, model["backbone"])
    if pretrained == "imagenet":
        prefix = {"prefix": backbone.prefix} if backbone.prefix else {}
        config["init_cfg"] = {"type": "Pretrained", "checkpoint": backbone.imagenet, **prefix}
    model["backbone"] = config
    model["data_preprocessor"].update(copy.deepcopy(dict(backbone.pixels)))
    if backbone.neck:
        _put_neck(model, backbone.neck)
    channels = backbone.tiny_channels if scale == "tiny" else backbone.channels
    for path in entry.takes:
        set_path(model, path, [channels[index] for index in entry.maps])


def learn_everything(config: dict[str, Any]) -> None:
    """Freezes nothing in a backbone's config: random layers and random statistics that are frozen never learn."""
    if config.get("frozen_stages", -1) > 0:  # 0 is the stem of some and nothing of EfficientNet, where it is 0 already
        config["frozen_stages"] = -1
    if "norm_eval" in config:
        config["norm_eval"] = False
    if "requires_grad" in config.get("norm_cfg", {}):
        config["norm_cfg"]["requires_grad"] = True
    if "convert_weights" in config:
        config["convert_weights"] = False


def _train_as(config: dict[str, Any], zoo: dict[str, Any]) -> None:
    """Takes over what the model's zoo config says of the same network."""
    if all(config.get(key) == zoo.get(key) for key in ("type", "style")):
        known = {key: copy.deepcopy(zoo[key]) for key in _TRAINING if key in zoo and key in config}
        if known.get("norm_cfg", {}).get("type") == "SyncBN":
            known["norm_cfg"]["type"] = "BN"
        config.update(known)


def _put_neck(model: dict[str, Any], name: str) -> None:
    """Replaces a plain FPN by the backbone's own neck; other necks stay.

    HRFPN starts at its finest map; ``stride`` 2 makes it start at the next one, as in the zoo's FCOS with HRNet.
    """
    fpn = model.get("neck")
    if fpn is None or fpn["type"] != "FPN":
        return
    own = {key: fpn[key] for key in ("in_channels", "out_channels", "num_outs")}
    stride = {"stride": 2 ** fpn["start_level"]} if fpn.get("start_level", 0) else {}
    model["neck"] = {"type": name, **own, **stride}
