"""Where a training's first weights stand in its config, and what a resume remembers of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runner.configfile import set_path
from runner.paths import replace_with
from runner.training.tensors import read
from runner.training.weights import fetch

# type -> how the names of the authors' own files begin, which MMDetection's class renames if told to
_ORIGINAL = {
    "SwinTransformer": "layers.0.blocks.",
    "PyramidVisionTransformer": "patch_embed1.",
    "PyramidVisionTransformerV2": "patch_embed1.",
}


@dataclass
class Start:
    """How a trial's training starts; kept beside its checkpoints, so that a resume needs neither file nor network.

    Attributes:
        changes: dotted path in the rendered config -> value, where the weights themselves decided it.
        told: what was loaded, for the table ("imagenet: 318 of 318 tensors of the backbone, sha256 ab12cd34").
    """

    changes: dict[str, Any] = field(default_factory=dict)
    told: str | None = None

    @classmethod
    def kept(cls, path: Path) -> Start | None:
        """That of an earlier attempt."""
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def keep(self, path: Path) -> None:
        """For a later attempt."""
        replace_with(path, json.dumps(asdict(self)))

    def apply(self, config: dict[str, Any]) -> None:
        """Writes the changes into a rendered config."""
        for path, value in self.changes.items():
            set_path(config, f"+{path}", value)


def placed(model: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Where weights belong that somebody named by path, URL or hub id: the file's names decide it.

    Args:
        model: the rendered ``model``.
        source: as `runner.training.weights.fetch` takes it.

    Returns:
        Changes of the config: ``load_from`` for a whole detector, the backbone's ``init_cfg`` for a backbone.

    Raises:
        WeightsError: they cannot be had or read.
        OSError: the disk is full.
    """
    names = list(read(fetch(source))["state_dict"])
    names = [name.removeprefix("module.") for name in names]
    parts = {name.split(".", 1)[0] for name in names}
    if "backbone" in parts and parts & (set(model) - {"backbone", "type"}):
        return {"load_from": source, "model.backbone.init_cfg": None}
    init: dict[str, Any] = {"type": "Pretrained", "checkpoint": source}
    changes: dict[str, Any] = {"load_from": None, "model.backbone.init_cfg": init}
    if "backbone" in parts:
        init["prefix"] = "backbone."
    start = _ORIGINAL.get(model["backbone"]["type"])
    if start:
        changes["model.backbone.convert_weights"] = any(name.startswith(start) for name in names)
    return changes


def asks(backbone: Mapping[str, Any]) -> str | None:
    """The checkpoint in a backbone's init_cfg."""
    init = backbone.get("init_cfg")
    found = [one["checkpoint"] for one in ([init] if isinstance(init, Mapping) else init or []) if "checkpoint" in one]
    return str(found[0]) if found else None
