"""Backbones of Hugging Face's transformers as MMDetection backbones: four maps at strides 4, 8, 16 and 32."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F  # noqa: N812
from mmdet.registry import MODELS
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoBackbone
from transformers.utils import logging as transformers_log

from runner.errors import UserError
from runner.training.weights import OTHER_WEIGHTS, WeightsError

_STRIDE = 16  # of a plain vision transformer's one map, as its pyramid wants it
# tensors that a backbone adds to the network it was trained as, so that no checkpoint has them
_NEW = ("hidden_states_norms",)


@MODELS.register_module()
class HFBackbone(BaseModule):
    """Any ``AutoBackbone``, built from plain data without network.

    A backbone of four stages gives its own maps. A plain vision transformer (DINOv2 and its like: one width, one
    stride) gets its input scaled by 16 / patch size, so that a patch covers 16 x 16 pixels of the image, and the
    simple pyramid of ViTDet on its last map.

    Args:
        model_type: transformers' name of the architecture ("convnext").
        config: arguments of its config class; what is left out has transformers' defaults. ``out_features`` or
            ``out_indices`` in it name the four maps where they are not those of its four stages.
        out_indices: which of the four maps to give.
        init_cfg: None, or ``{"type": "Pretrained", "checkpoint": X}`` with X a folder written by
            ``save_pretrained``, an id of the hub, or whatever else mmengine's loader takes.

    Raises:
        UserError: transformers has no backbone of that type, or it gives no maps at strides 4, 8, 16 and 32.
    """

    def __init__(
        self,
        model_type: str,
        config: Mapping[str, Any] | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.out_indices = tuple(out_indices)
        self.model_type = model_type
        self.body = _build(model_type, dict(config or {}), self.out_indices)
        width = self.body.num_features
        self.patch = int(self.body.config.patch_size) if len(set(width)) == 1 else None
        self.pyramid = None
        if self.patch is not None:
            self.pyramid = SimplePyramid(width[-1], self.out_indices)
            self.channels = self.pyramid.channels
        else:
            self.channels = tuple(self.body.channels)
        # transformers masks patches with it in pretraining only; without a gradient it would only decay
        for name, parameter in self.body.named_parameters():
            if name.endswith("mask_token"):
                parameter.requires_grad_(False)

    def init_weights(self) -> None:
        """Loads `init_cfg`'s checkpoint; without one the random weights of the constructor stay.

        Raises:
            WeightsError: it cannot be had, or it lacks weights of this network.
        """
        if self.init_cfg:
            _load(self.body, self.init_cfg["checkpoint"])
        self._is_init = True

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of a batch of normalised images.

        Args:
            images: N x 3 x H x W.

        Returns:
            One tensor a map, N x C x ceil(H / stride) x ceil(W / stride).
        """
        if self.patch is None or self.pyramid is None:
            maps: tuple[Tensor, ...] = tuple(self.body(images).feature_maps)
            self._check(maps, images)
            return maps
        rows, columns = (math.ceil(side / _STRIDE) for side in images.shape[-2:])
        images = F.pad(images, (0, columns * _STRIDE - images.shape[-1], 0, rows * _STRIDE - images.shape[-2]))
        if self.patch != _STRIDE:
            size = (rows * self.patch, columns * self.patch)
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        pyramid: tuple[Tensor, ...] = self.pyramid(self.body(images).feature_maps[-1])
        return pyramid

    def _check(self, maps: Sequence[Tensor], images: Tensor) -> None:
        height, width = images.shape[-2:]
        for one, index in zip(maps, self.out_indices, strict=True):
            stride = 4 * 2**index
            wanted, found = (math.ceil(height / stride), math.ceil(width / stride)), tuple(one.shape[-2:])
            if found != wanted:
                raise UserError(
                    f"HFBackbone: map {index} of {self.model_type} is {found[0]} x {found[1]} for an image of {height} "
                    f"x {width}, expected {wanted[0]} x {wanted[1]} (stride {stride}): name others by out_indices in "
                    "config"
                )


class SimplePyramid(nn.Module):
    """Four maps from one of stride 16: deconvolutions, identity and pooling. Source: ViTDet, arXiv:2203.16527.

    ViTDet's convolutions after these belong to the neck here.

    ``channels`` are those of the maps it gives: a quarter, a half, all and all of `width` at strides 4, 8, 16, 32.

    Args:
        width: channels of the one map.
        out_indices: which of the four maps to give.
    """

    def __init__(self, width: int, out_indices: Sequence[int] = (0, 1, 2, 3)) -> None:
        super().__init__()
        up = nn.ConvTranspose2d
        ways: list[nn.Module] = [
            nn.Sequential(
                up(width, width // 2, 2, 2), _LayerNorm2d(width // 2), nn.GELU(), up(width // 2, width // 4, 2, 2)
            ),
            up(width, width // 2, 2, 2),
            nn.Identity(),
            nn.MaxPool2d(2, ceil_mode=True),
        ]
        self.ways = nn.ModuleList(ways[i] for i in out_indices)
        self.channels = tuple((width // 4, width // 2, width, width)[i] for i in out_indices)

    def forward(self, one: Tensor) -> tuple[Tensor, ...]:
        """The maps of a map N x C x H x W of stride 16."""
        return tuple(way(one) for way in self.ways)


class _LayerNorm2d(nn.LayerNorm):
    """Layer normalisation of the channels of N x C x H x W."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _build(model_type: str, config: dict[str, Any], out_indices: tuple[int, ...]) -> Any:
    """The network, giving the maps `out_indices` of its four stages, or the last map of a plain transformer."""
    if model_type not in CONFIG_MAPPING:
        raise UserError(f"HFBackbone: model_type {model_type!r} is none that transformers knows")
    settings = CONFIG_MAPPING[model_type](**config)
    names = list(getattr(settings, "stage_names", None) or ())
    if not names:
        raise UserError(f"HFBackbone: transformers has no backbone for model_type {model_type!r}")
    own = {"out_features", "out_indices"} & set(config)
    stages = list(settings.out_indices) if own else [i for i, name in enumerate(names) if name.startswith("stage")]
    hierarchical = hasattr(settings, "depths")
    if hierarchical and len(stages) != 4:
        raise UserError(f"HFBackbone: {model_type} with these settings has {len(stages)} stages; four are needed")
    wanted = [stages[index] for index in out_indices] if hierarchical else stages[-1:]
    settings.set_output_features_output_indices(out_features=None, out_indices=wanted)
    try:
        return AutoBackbone.from_config(settings)
    except ValueError as error:
        raise UserError(f"HFBackbone: transformers has no backbone for model_type {model_type!r}") from error


def _load(body: Any, checkpoint: str) -> None:
    """Copies a checkpoint's weights into `body`, by transformers' own rules for names; the log says what was left."""
    # through mmengine's loader, where runner.training.loading has put ours: cache, checksum, no code from files
    tensors = CheckpointLoader.load_checkpoint(checkpoint, map_location="cpu")["state_dict"]
    kind = type(body).__name__
    transformers_log.set_verbosity_error()  # its table and bars say less than the line below
    transformers_log.disable_progress_bar()
    try:
        loaded, info = type(body).from_pretrained(
            None, config=body.config, state_dict=dict(tensors), output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{checkpoint} does not fit {kind}: {_first_line(error)}; {OTHER_WEIGHTS}") from error
    missing = sorted(key for key in info["missing_keys"] if not any(part in key for part in _NEW))
    if missing:
        more = ", ..." if len(missing) > 3 else ""
        raise WeightsError(
            f"{checkpoint} lacks {len(missing)} of the {len(body.state_dict())} tensors of {kind}: "
            f"{', '.join(missing[:3])}{more}; {OTHER_WEIGHTS}"
        )
    body.load_state_dict(
        {key: value for key, value in loaded.state_dict().items() if key not in info["missing_keys"]}, strict=False
    )
    MMLogger.get_current_instance().info(
        f"{checkpoint}: loaded into {kind}; new: {', '.join(sorted(info['missing_keys'])) or 'nothing'}; "
        f"not used: {', '.join(sorted(info['unexpected_keys'])) or 'nothing'}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
