"""Layer-wise decay of the learning rate, for any backbone whose blocks are numbered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

MOST_LAYERS = 12  # as MMDetection counts a large ConvNeXt, and as a ViT-B has
# layer1.0, stages.0.blocks.1, encoder.layer.3, layers.0.1.2, but not the norms of maps (hidden_states_norms.stage1)
_BLOCK = re.compile(
    r"(?:^|(?<!norms)\.)((?:layers?|stages?|blocks?)\.?\d+(?:\.(?:layers|blocks)\.\d+|(?:\.\d+){0,2})(?=\.))"
)


def layer_ids(names: Iterable[str]) -> dict[str, int]:
    """The layer of each parameter of a backbone: 0 is the stem, the last one is nearest to the heads.

    A block is what stands under its own number in a container named layer, layers, stage, stages or blocks
    (``layer3.5``, ``stages.2.blocks.1``, ``encoder.layer.7``), in the order in which the backbone has them. What has
    no number belongs to the block before it, or to the stem. More than `MOST_LAYERS` blocks are gathered evenly
    into so many layers, so that one factor means about the same for a deep backbone as for a shallow one.

    Args:
        names: parameters of the backbone, without the prefix ``backbone``, in their order, which is the order of
            the forward pass in every backbone of the catalog.
    """
    blocks: dict[str, int] = {}
    found = {}
    for name in names:
        match = _BLOCK.search(name)
        if match:
            found[name] = blocks.setdefault(match[1], len(blocks) + 1)
        else:
            found[name] = len(blocks)
    layers = min(len(blocks), MOST_LAYERS)
    # ceil(block * layers / blocks) in whole numbers
    return {name: -(-block * layers // len(blocks)) if block else 0 for name, block in found.items()}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, whose learning rates in the backbone then shrink from layer to layer.

    With n layers and a decay d, neck and heads keep their rate, layer i of the backbone gets d^(n + 1 - i) of it,
    the stem d^(n + 1): as in BEiT (arXiv:2106.08254) and in MMDetection's
    LearningRateDecayOptimizerConstructor, which knows ConvNeXt alone.

    Args:
        optim_wrapper_cfg: as mmengine's.
        paramwise_cfg: as mmengine's, and ``layer_decay`` (a factor above 0, at most 1).
    """

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, prefix: str = "", **kwargs: Any) -> None:
        """As mmengine's; after the whole model is through, the rates of the backbone are multiplied."""
        super().add_params(params, module, prefix, **kwargs)
        if prefix:
            return
        decay = self.paramwise_cfg["layer_decay"]
        named = dict(module.backbone.named_parameters())  # type: ignore[union-attr]
        layers = layer_ids(named)
        depth = max(layers.values(), default=0)
        scales = {id(named[name]): decay ** (depth + 1 - layer) for name, layer in layers.items()}
        for group in params:
            group["lr"] = group.get("lr", self.base_lr) * scales.get(id(group["params"][0]), 1.0)
