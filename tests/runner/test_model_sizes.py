"""What the catalog says about the size of a model is what is built."""

from __future__ import annotations

import pytest
from trials import combination, paths

from runner.catalog import MODELS
from runner.protocol import Objective


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_parameters_of_a_model(name: str) -> None:
    from mmdet.registry import MODELS as REGISTRY
    from mmengine.config import ConfigDict
    from mmengine.registry import init_default_scope

    from runner import plugins  # noqa: F401  registers them
    from runner.render import render

    init_default_scope("mmdet")
    trial = combination(name, MODELS[name].backbone, scale="standard")
    config = render(trial, 0, "standard", paths(classes=("any",)), Objective(), 100)
    model = REGISTRY.build(ConfigDict(config["model"]))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == MODELS[name].parameters_m
