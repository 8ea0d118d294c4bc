"""HFBackbone: what it builds, what it loads, and what it says where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import ConfigDict
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForImageClassification

from runner.catalog import BACKBONES
from runner.errors import UserError
from runner.plugins.hf_backbone import HFBackbone, SimplePyramid
from runner.training.weights import OTHER_WEIGHTS

NAMES = [name for name, entry in BACKBONES.items() if entry.config["type"] == "HFBackbone"]
# its stages end with the reduction that others begin with
FOCALNET = {"embed_dim": 12, "hidden_sizes": [12, 24, 48, 96], "depths": [1, 1, 1, 1]}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def tiny(name: str, **changes: Any) -> HFBackbone:
    entry = BACKBONES[name]
    config = {**entry.config, **entry.tiny, **changes}
    backbone: HFBackbone = MMDET_MODELS.build(ConfigDict({**config, "_scope_": "mmdet"}))
    return backbone


def saved(name: str, folder: Path, kind: Any = AutoModelForImageClassification) -> Path:
    """A checkpoint as the hub has it: the whole classifier, written by save_pretrained."""
    entry = BACKBONES[name]
    config = CONFIG_MAPPING[entry.config["model_type"]](**entry.tiny["config"])
    torch.manual_seed(1)
    kind.from_config(config).save_pretrained(folder)
    return folder


def pretrained(folder: Path) -> dict[str, Any]:
    return {"init_cfg": {"type": "Pretrained", "checkpoint": str(folder)}}


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_a_local_folder_are_loaded(tmp_path: Path, name: str) -> None:
    folder = saved(name, tmp_path / "w", AutoModel if name == "dinov2_small" else AutoModelForImageClassification)
    stored = load_file(folder / "model.safetensors")
    backbone = tiny(name, **pretrained(folder))
    backbone.init_weights()
    # by value: transformers renames some layers of older checkpoints
    for key, value in backbone.body.state_dict().items():
        if not (any(fragment in key for fragment in BACKBONES[name].fresh) or key.endswith(("index", "table"))):
            assert any(value.shape == t.shape and torch.equal(value, t) for t in stored.values()), key


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_without_some_weights_is_refused(tmp_path: Path, name: str) -> None:
    folder = saved(name, tmp_path / "w", AutoModel)
    tensors = load_file(folder / "model.safetensors")
    gone = next(key for key in tensors if key.endswith(".weight") and "encoder" in key and "norm" in key)
    save_file({k: v for k, v in tensors.items() if k != gone}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError) as caught:
        tiny(name, **pretrained(folder)).init_weights()
    body = tiny(name).body
    total = len(body.state_dict())
    (inner,) = [key for key in body.state_dict() if gone.endswith(key)]
    expected = f"{folder} lacks 1 of the {total} tensors of {type(body).__name__}: {inner}; {OTHER_WEIGHTS}"
    assert str(caught.value) == expected


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = saved("convnext_tiny", tmp_path / "w")
    config = {"depths": [1, 1, 2, 1], "hidden_sizes": [8, 16, 32, 64]}
    with pytest.raises(UserError, match=f"^{folder} does not fit ConvNextBackbone: "):
        tiny("convnext_tiny", config=config, **pretrained(folder)).init_weights()


def test_a_checkpoint_that_is_nowhere_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "convnext"}))
    for place in (str(tmp_path / "nowhere"), str(tmp_path), "nobody/nothing-at-all"):
        with pytest.raises(UserError) as caught:
            tiny("convnext_tiny", **pretrained(Path(place))).init_weights()
        assert place in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model_type", "config", "message"),
    [
        ("convnexxt", {}, "HFBackbone: model_type 'convnexxt' is none that transformers knows"),
        ("bert", {}, "HFBackbone: transformers has no backbone for model_type 'bert'"),
        (
            "convnext",
            {"depths": [1, 1, 1], "hidden_sizes": [8, 8, 8], "num_stages": 3},
            "HFBackbone: convnext with these settings has 3 stages; four are needed",
        ),
    ],
)
def test_what_cannot_be_built_is_said(model_type: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        HFBackbone(model_type, config)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("model_type", "config"),
    [
        ("swin", {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}),
        # five stages, of which four are named
        (
            "swin",
            {
                "embed_dim": 6,
                "depths": [1] * 5,
                "num_heads": [1] * 5,
                "patch_size": 2,
                "out_features": ["stage2", "stage3", "stage4", "stage5"],
            },
        ),
        ("resnet", {"embedding_size": 8, "hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1]}),
        ("pvt_v2", {"hidden_sizes": [8, 16, 40, 64], "depths": [1, 1, 1, 1]}),
        ("dinov2_with_registers", {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}),
        ("dinov3_vit", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}),
    ],
)
def test_any_other_backbone_gives_four_maps(model_type: str, config: dict[str, Any]) -> None:
    backbone = HFBackbone(model_type, config)
    maps = backbone(torch.randn(1, 3, 96, 160))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (channels, 96 // stride, 160 // stride)
        for channels, stride in zip(backbone.channels, (4, 8, 16, 32), strict=True)
    ]


def test_maps_at_other_strides_are_refused() -> None:
    with pytest.raises(UserError) as caught:
        HFBackbone("focalnet", FOCALNET)(torch.zeros(1, 3, 96, 160))
    assert str(caught.value) == (
        "HFBackbone: map 0 of focalnet is 12 x 20 for an image of 96 x 160, expected 24 x 40 (stride 4): "
        "name others by out_indices in config"
    )


def test_a_patch_covers_sixteen_pixels() -> None:
    """Changing one 16 x 16 square of the image changes what the patch embedding makes of one place, and no other."""
    backbone = tiny("dinov2_small").eval()
    seen: list[torch.Tensor] = []
    embedding: nn.Module = backbone.body.embeddings.patch_embeddings
    embedding.register_forward_hook(lambda _module, _args, out: seen.append(out))
    image = torch.zeros(1, 3, 64, 96)
    backbone(image)
    image[..., 16:32, 48:64] = 1.0
    backbone(image)
    changed = (seen[0] != seen[1]).any(-1).view(4, 6)
    assert changed.nonzero().tolist() == [[1, 3]]


def test_sides_that_no_patch_divides_are_padded() -> None:
    maps = tiny("dinov2_small")(torch.randn(1, 3, 70, 100))
    assert [tuple(m.shape[2:]) for m in maps] == [(20, 28), (10, 14), (5, 7), (3, 4)]


def test_the_pyramid_gives_the_maps_that_are_wanted() -> None:
    pyramid = SimplePyramid(32, (1, 3))
    assert pyramid.channels == (16, 32)
    assert [tuple(m.shape[1:]) for m in pyramid(torch.randn(2, 32, 4, 6))] == [(16, 8, 12), (32, 2, 3)]
