"""Backbones: name -> MMDetection backbone config, at both scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from runner.catalog.backbones.base import Backbone
from runner.catalog.backbones.convolutional import CONVOLUTIONAL
from runner.catalog.backbones.costs import COSTS
from runner.catalog.backbones.huggingface import HUGGING_FACE
from runner.catalog.backbones.resnets import RESNETS
from runner.catalog.backbones.transformers import TRANSFORMERS

BACKBONES: Mapping[str, Backbone] = {
    entry.name: replace(entry, parameters_m=COSTS[entry.name][0], memory_mb=COSTS[entry.name][1])
    for entry in (*RESNETS, *CONVOLUTIONAL, *TRANSFORMERS, *HUGGING_FACE)
}

__all__ = ["BACKBONES", "Backbone"]
