"""What a backbone of the catalog costs at scale standard: parameters, and memory of one image forward and backward.

Memory is counted, not sampled: the bytes of all tensors autograd saves for the backward pass of one 256 x 256 image in
train mode with random weights and nothing frozen (each storage once, parameters left out), plus four bytes of gradient
a parameter. It is what grows with image and batch; optimizer state, neck and heads come on top.

    python benchmarks/catalog_cost.py [NAME ...]      # the lines of runner/catalog/backbones/costs.py
"""

from __future__ import annotations

import copy
import sys
import warnings

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from torch import nn

import runner.plugins  # noqa: F401  registers them with MMDetection
from runner.catalog import BACKBONES
from runner.render.backbone import learn_everything

SIZE = 256


def cost(backbone: nn.Module, size: int = SIZE) -> tuple[int, int]:
    """Parameters, and bytes that forward and backward of one image of `size` x `size` pixels hold."""
    parameters = list(backbone.parameters())
    known = {p.untyped_storage().data_ptr() for p in parameters}
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    backbone.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        maps = backbone(torch.zeros(1, 3, size, size))
    held = sum(saved.values())  # the graph is alive, so no address was used twice
    assert all(m.requires_grad for m in maps)
    count = sum(p.numel() for p in parameters)
    return count, held + sum(4 * p.numel() for p in parameters)


def main() -> None:
    warnings.filterwarnings("ignore")
    register_all_modules(init_default_scope=True)
    for name in sys.argv[1:] or BACKBONES:
        config = copy.deepcopy(dict(BACKBONES[name].config))
        learn_everything(config)
        parameters, held = cost(MODELS.build(ConfigDict(config)))
        print(f'    "{name}": ({parameters / 1e6:.2f}, {held / 2**20:.0f}),', flush=True)


if __name__ == "__main__":
    main()
