"""At full size every model of the catalog takes every backbone, and is as large as in MMDetection's zoo.

A few hundred networks: run one backbone's share with ``-m slow -k resnet50``. No random numbers are drawn for weights;
they come from one buffer, which is what makes this a matter of minutes.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from torch import nn
from transformers.initialization import no_init_weights
from trials import combination, paths

import runner.plugins  # noqa: F401  registers them with MMDetection
from runner.catalog import BACKBONES, MODELS
from runner.configfile import nodes, zoo_config
from runner.protocol import Objective
from runner.render import render

pytestmark = pytest.mark.slow
SIZE = 256

# what the zoo has of these pairs, with the model's own heads
ZOO = {
    ("mask_rcnn", "resnet18"): "mask_rcnn/mask-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco.py",
    ("mask_rcnn", "resnet50"): "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
    ("mask_rcnn", "resnet101"): "mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py",
    ("mask_rcnn", "resnext101_32x4d"): "mask_rcnn/mask-rcnn_x101-32x4d_fpn_1x_coco.py",
    ("mask_rcnn", "resnext101_64x4d"): "mask_rcnn/mask-rcnn_x101-64x4d_fpn_1x_coco.py",
    ("mask_rcnn", "resnet50_rsb"): "resnet_strikes_back/mask-rcnn_r50-rsb-pre_fpn_1x_coco.py",
    ("mask_rcnn", "resnet50_gc"): "gcnet/mask-rcnn_r50-gcb-r4-c3-c5_fpn_1x_coco.py",
    ("mask_rcnn", "res2net101"): "res2net/mask-rcnn_res2net-101_fpn_2x_coco.py",
    ("mask_rcnn", "regnetx_3_2gf"): "regnet/mask-rcnn_regnetx-3.2GF_fpn_1x_coco.py",
    ("mask_rcnn", "hrnet_w32"): "hrnet/mask-rcnn_hrnetv2p-w32-1x_coco.py",
    ("mask_rcnn", "swin_tiny"): "swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py",
    ("cascade_mask_rcnn", "resnet50"): "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py",
    ("cascade_mask_rcnn", "resnet101"): "cascade_rcnn/cascade-mask-rcnn_r101_fpn_1x_coco.py",
    ("cascade_mask_rcnn", "resnext101_32x4d"): "cascade_rcnn/cascade-mask-rcnn_x101-32x4d_fpn_1x_coco.py",
    ("cascade_mask_rcnn", "resnext101_64x4d"): "cascade_rcnn/cascade-mask-rcnn_x101-64x4d_fpn_1x_coco.py",
    ("cascade_mask_rcnn", "resnet50_rsb"): "resnet_strikes_back/cascade-mask-rcnn_r50-rsb-pre_fpn_1x_coco.py",
    ("cascade_mask_rcnn", "res2net101"): "res2net/cascade-mask-rcnn_res2net-101_fpn_20e_coco.py",
    ("cascade_mask_rcnn", "regnetx_3_2gf"): "regnet/cascade-mask-rcnn_regnetx-3.2GF_fpn_ms-3x_coco.py",
    ("cascade_mask_rcnn", "hrnet_w32"): "hrnet/cascade-mask-rcnn_hrnetv2p-w32_20e_coco.py",
    ("ms_rcnn", "resnet50"): "ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py",
    ("ms_rcnn", "resnet101"): "ms_rcnn/ms-rcnn_r101-caffe_fpn_1x_coco.py",
    ("ms_rcnn", "resnext101_32x4d"): "ms_rcnn/ms-rcnn_x101-32x4d_fpn_1x_coco.py",
    ("ms_rcnn", "resnext101_64x4d"): "ms_rcnn/ms-rcnn_x101-64x4d_fpn_1x_coco.py",
    ("htc", "resnet50"): "htc/htc-without-semantic_r50_fpn_1x_coco.py",
    ("htc", "resnet101"): "htc/htc_r101_fpn_20e_coco.py",
    ("htc", "resnext101_32x4d"): "htc/htc_x101-32x4d_fpn_16xb1-20e_coco.py",
    ("htc", "resnext101_64x4d"): "htc/htc_x101-64x4d_fpn_16xb1-20e_coco.py",
    ("htc", "res2net101"): "res2net/htc_res2net-101_fpn_20e_coco.py",
    ("htc", "hrnet_w32"): "hrnet/htc_hrnetv2p-w32_20e_coco.py",
    ("scnet", "resnet50"): "scnet/scnet_r50_fpn_1x_coco.py",
    ("scnet", "resnet101"): "scnet/scnet_r101_fpn_20e_coco.py",
    ("scnet", "resnext101_64x4d"): "scnet/scnet_x101-64x4d_fpn_20e_coco.py",
    ("solov2", "resnet50"): "solov2/solov2_r50_fpn_1x_coco.py",
    ("solov2", "resnet101"): "solov2/solov2_r101_fpn_ms-3x_coco.py",
    ("queryinst", "resnet50"): "queryinst/queryinst_r50_fpn_1x_coco.py",
    ("queryinst", "resnet101"): "queryinst/queryinst_r101_fpn_ms-480-800-3x_coco.py",
    ("point_rend", "resnet50"): "point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py",
    ("condinst", "resnet50"): "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py",
    ("mask2former", "resnet50"): "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
    ("mask2former", "resnet101"): "mask2former/mask2former_r101_8xb2-lsj-50e_coco.py",
    ("mask2former", "swin_tiny"): "mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py",
    ("rtmdet_ins", "cspnext_s"): "rtmdet/rtmdet-ins_s_8xb32-300e_coco.py",
}  # fmt: skip
# what it has with other heads, or for boxes alone
ZOO_BACKBONE = {
    "resnet50_ga": "empirical_attention/faster-rcnn_r50-attn1111_fpn_1x_coco.py",
    "resnest50": "resnest/mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py",
    "efficientnet_b3": "efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco.py",
    "pvt_tiny": "pvt/retinanet_pvt-t_fpn_1x_coco.py",
    "pvtv2_b0": "pvt/retinanet_pvtv2-b0_fpn_1x_coco.py",
    "pvtv2_b2": "pvt/retinanet_pvtv2-b2_fpn_1x_coco.py",
}
# the zoo's ConvNeXt needs mmpretrain: as published with 1000 classes, less classifier and last norm, plus what is new
PUBLISHED = {
    "convnext_tiny": 28_589_128 - 768 * 1000 - 1000 - 2 * 768 + 2 * (96 + 192 + 384 + 768),
    "convnextv2_tiny": 28_635_496 - 768 * 1000 - 1000 - 2 * 768 + 2 * (96 + 192 + 384 + 768),
    "swinv2_tiny": 28_347_154 - 768 * 1000 - 1000 - 2 * 768,
    "dinov2_small": 22_056_576 + (384 * 4 + 1) * 192 + 2 * 192 + (192 * 4 + 1) * 96 + (384 * 4 + 1) * 192,
}
# torch's own weights are drawn here: nothing else in these networks costs as much
DRAWN = ("uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_",
         "kaiming_normal_", "constant_", "ones_", "zeros_")  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    register_all_modules(init_default_scope=True)


@contextlib.contextmanager
def nothing_drawn() -> Iterator[None]:
    """Networks built here have whatever is in memory as weights."""
    with pytest.MonkeyPatch.context() as patch, no_init_weights():
        for name in DRAWN:
            patch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
        yield


def built(config: dict[str, Any]) -> nn.Module:
    with nothing_drawn():
        network: nn.Module = MMDET_MODELS.build(ConfigDict(config))
    return network


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@functools.cache
def buffer() -> torch.Tensor:
    return torch.randn(1 << 24, generator=torch.Generator().manual_seed(0))


def fill(network: nn.Module) -> None:
    """Weights that keep a signal's size from layer to layer."""
    with torch.no_grad():
        for name, p in network.named_parameters():
            if p.dim() < 2:
                p.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                scale = (p.shape[0] / p.numel()) ** 0.5
                torch.mul(buffer()[: p.numel()].view_as(p), scale, out=p)
        for module in network.modules():
            if isinstance(module, nn.Embedding):  # some are boxes, whose width is not negative
                module.weight.fill_(0.5)


def zoo(path: str, model: str) -> dict[str, Any]:
    """The zoo's model for one class, without the branches that want labels we do not have."""
    config = zoo_config(path)["model"]
    for dotted in (*MODELS[model].drop, "roi_head.semantic_head", "roi_head.semantic_roi_extractor"):
        *parents, last = dotted.split(".")
        node = functools.reduce(lambda at, key: at.get(key) or {}, parents, config)
        node.pop(last, None)
    for node in nodes(config):
        node.pop("init_cfg", None)
        if "num_classes" in node:
            node["num_classes"] = 1
        if "num_things_classes" in node:
            node.update(num_things_classes=1, num_stuff_classes=0)
            if "loss_cls" in node:
                node["loss_cls"]["class_weight"] = [1.0, 0.1]
    return config


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_pair_is_the_zoos_and_runs(backbone: str, model: str) -> None:
    trial = combination(model, backbone, scale="standard", adapt="off", image_size=[SIZE, SIZE])
    config = render(trial, 0, "standard", paths(classes=("ring",)), Objective(), 100)["model"]
    # as many objects as show that it runs; where queries find them, their number is built in
    for node in nodes(config["test_cfg"]) if not MODELS[model].queries else ():
        node.update({key: min(node[key], 20) for key in ("nms_pre", "max_per_img", "max_per_image") if key in node})
    network = built(config)
    if pair := ZOO.get((model, backbone)):
        assert count(network) == count(built(zoo(pair, model)))
    fill(network)
    network.eval()
    batch = network.data_preprocessor(demo_mm_inputs(1, [[3, SIZE, SIZE]], num_classes=2, with_mask=True))
    for sample in batch["data_samples"]:
        sample.set_metainfo({"ori_shape": (SIZE, SIZE), "scale_factor": (1.0, 1.0)})
    with torch.no_grad():
        maps = network.extract_feat(batch["inputs"])
        (sample,) = network.forward(**batch, mode="predict")
    assert all(torch.isfinite(m).all() for m in maps)
    assert sample.pred_instances.masks.shape[1:] == (SIZE, SIZE)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_alone_is_as_large_as_written(name: str) -> None:
    entry = BACKBONES[name]
    mine = count(built(dict(entry.config)))
    assert round(mine / 1e6, 2) == entry.parameters_m
    if name in ZOO_BACKBONE:
        config = zoo_config(ZOO_BACKBONE[name])["model"]["backbone"]
        assert mine == count(built({key: value for key, value in config.items() if key != "init_cfg"}))
    elif name in PUBLISHED:
        assert mine == PUBLISHED[name]
    else:
        assert any(name == backbone for _, backbone in ZOO)
