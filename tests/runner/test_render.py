"""Rendered configs: ours where they must be, MMDetection's own everywhere else, and never code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.registry import TRANSFORMS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from trials import combination, part, paths
from zoo import OURS, TEAM, nodes, plain, zoo_model

from runner.adapt import image_size
from runner.catalog import BACKBONES, MODELS
from runner.configfile import set_path, to_text, zoo_config
from runner.errors import UserError
from runner.protocol import Combination, DataPaths, Objective
from runner.render import render, unknown_paths

# each model with three backbones, each backbone with one model or two; all pairs run with -m slow
ALL = [(model, backbone) for model in MODELS for backbone in BACKBONES]
SOME = [
    (model, name)
    for i, model in enumerate(MODELS)
    for name in {"resnet18": 0, **dict.fromkeys(list(BACKBONES)[i :: len(MODELS)])}
]
# Written into class names, paths and config values: quotes, line ends, what Python and mmengine substitute.
TEXTS = [
    "it's", 'say "particle"', "both ' and \"", '"""', "'''", "a\nb", "a\r\nb", "back\\slash\\", "tab\there", "\x00",
    "\u2028", "{name}", "{{name}}", "{{", "}}", "{{{{", "%s %(a)s", "$HOME", "${HOME}", "#", "입자", "é", "",
    "{{ fileDirname }}", "{{fileBasename}}", "{{{fileBasenameNoExtension}}}", "{{ fileExtname }}",
    "{{ _base_.model }}", "{{_base_.model.type}}", "{{$HOME:x}}", "{{ $HOME : x }}", "{{'$HOME:x'}}",
    '{{"$NOWHERE:y"}}', "{{$NOWHERE:}}", "{{$NOWHERE:y", "{{$NOWHERE:\\1}}",
    "x" * 300, "long text with spaces " * 20, "{{ fileDirname }} " * 20,
    "{{$NOWHERE:', 'a': __import__('os').system('touch PWNED'), 'b': '}}",
    "' + __import__('os').system('touch PWNED') + '", '"]\nimport os\nos.system("touch PWNED")\nx = ["',
]  # fmt: skip


def rendered(trial: Combination, scale: str = "tiny", data: DataPaths | None = None, **options: Any) -> dict[str, Any]:
    metric = Objective(metric=options.pop("metric", "segm_mAP"))
    return render(trial, 7, scale, data or paths(), metric, options.pop("detections", 100), **options)  # type: ignore[arg-type]


def get(node: Any, path: str) -> Any:
    for key in path.split("."):
        node = node[key]
    return node


def read_back(text: str, folder: Path) -> dict[str, Any]:
    """What mmengine makes of the text of a config."""
    path = folder / "config.py"
    path.write_text(text, encoding="utf-8")
    plain: dict[str, Any] = Config.fromfile(path).to_dict()
    return plain


def renders(tmp_path: Path, model: str, backbone: str, scale: str) -> None:
    config = rendered(combination(model, backbone, scale=scale), scale)
    counted = [
        node[key] for node in nodes(config["model"]) for key in ("num_classes", "num_things_classes") if key in node
    ]
    assert counted and set(counted) == {2}
    assert not any(node.get("type") == "SyncBN" for node in nodes(config["model"]))
    entry = BACKBONES[backbone]
    channels = entry.tiny_channels if scale == "tiny" else entry.channels
    for path in MODELS[model].takes:
        assert get(config["model"], path) == [channels[index] for index in MODELS[model].maps]
    for half in ("train", "val", "test"):
        dataset = config[f"{half}_dataloader"]["dataset"]
        assert dataset["metainfo"] == {"classes": ("ring", "speck")}
        assert dataset["ann_file"] == f"/data/{'train' if half == 'train' else 'val'}.json"
    text = to_text(config)
    assert "_base_" not in text
    assert read_back(text, tmp_path) == plain(config)


@pytest.mark.parametrize("scale", ["tiny", "standard"])
@pytest.mark.parametrize(("model", "backbone"), SOME)
def test_every_model_with_every_backbone(tmp_path: Path, model: str, backbone: str, scale: str) -> None:
    renders(tmp_path, model, backbone, scale)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["tiny", "standard"])
@pytest.mark.parametrize(("model", "backbone"), [pair for pair in ALL if pair not in SOME])
def test_every_other_pair(tmp_path: Path, model: str, backbone: str, scale: str) -> None:
    renders(tmp_path, model, backbone, scale)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_one_frame(name: str) -> None:
    """Loaders that end, epochs instead of iterations, no hook that switches pipelines, whatever the zoo config has."""
    config, frame = rendered(combination(name)), rendered(combination("mask_rcnn"))
    assert config.keys() == frame.keys()
    differ = {key for key in config if plain(config[key]) != plain(frame[key])}
    assert differ <= {"model", "optim_wrapper", "val_evaluator", "test_evaluator"}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_neck_takes_what_the_backbone_gives(backbone: str) -> None:
    entry = BACKBONES[backbone]
    config = {**entry.config, **entry.tiny}
    maps = MMDET_MODELS.build({**config, "_scope_": "mmdet"})(torch.zeros(1, 3, 64, 64))
    assert tuple(m.shape[1] for m in maps) == entry.tiny_channels
    assert tuple(64 // m.shape[2] for m in maps) == (4, 8, 16, 32)


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_becomes_code_or_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOWHERE", raising=False)
    data = paths(
        classes=(text, "speck"), train_images=f"/data/{text}/train", val_images=text,
        train_annotations=f"{text}/t.json", val_annotations=f"/v{text}",
    )  # fmt: skip
    trial = combination(
        config={"+note": text, "+deep": {"a": {"b": text}}, "+list": [text, text, {text: text}], "model.type": text}
    )
    config = rendered(trial, data=data)
    read = read_back(to_text(config), tmp_path)
    assert read == plain(config)
    assert read["note"] == read["deep"]["a"]["b"] == text
    assert read["list"] == [text, text, {text: text}]
    assert read["val_dataloader"]["dataset"]["data_prefix"]["img"] == text
    assert read["train_dataloader"]["dataset"]["metainfo"]["classes"] == (text, "speck")
    assert [p.name for p in tmp_path.iterdir()] == ["config.py"]


def test_texts_beside_each_other_do_not_become_a_substitution(tmp_path: Path) -> None:
    values = {"a": {"b": "{{$NOWHERE:x"}, "c": "}} , 'd': print('code'), 'e': '", "f": ["{", "{ fileDirname }}"]}
    assert read_back(to_text(values), tmp_path) == values


@pytest.mark.parametrize(
    "name", ["a b", "a-b", "1a", "class", "import os; x", "__import__('os')", "_base_", "__builtins__", "filename", ""]
)
def test_a_name_that_no_config_can_hold_is_refused(name: str) -> None:
    with pytest.raises(UserError) as caught:
        rendered(combination(config={f"+{name}": 1}))
    assert str(caught.value) == f"+{name}: {name!r} cannot be a name in an MMDetection config"


def with_defaults(backbone: dict[str, Any]) -> dict[str, Any]:
    """With what the class takes where a config says nothing: the zoo leaves some of it out."""
    known = inspect.signature(MMDET_MODELS.get(backbone["type"]).__init__).parameters
    return {key: p.default for key, p in known.items() if p.default is not p.empty} | backbone


@pytest.mark.parametrize("name", MODELS)
def test_standard_model_is_mmdetections_own(name: str) -> None:
    register_all_modules(init_default_scope=True)
    trial = combination(name, MODELS[name].backbone, scale="standard", pretrained="imagenet", adapt="off")
    ours, zoo = plain(rendered(trial, "standard", paths(classes=("ring",)))["model"]), zoo_model(name)
    for node in nodes(ours):
        if isinstance(node.get("type"), str):
            node["type"] = OURS.get(node["type"], node["type"])
    if name == "point_rend":  # the zoo's is Caffe's ResNet-50, for pixels of its own
        del zoo["backbone"], ours["backbone"], zoo["data_preprocessor"], ours["data_preprocessor"]
    else:
        zoo["backbone"], ours["backbone"] = with_defaults(zoo["backbone"]), with_defaults(ours["backbone"])
    assert ours == zoo
    assert not any(key.startswith("semantic_") and key != "semantic_on" for node in nodes(ours) for key in node)


@pytest.mark.parametrize("name", TEAM)
def test_standard_training_is_mmdetections_own(name: str) -> None:
    trial = combination(name, "resnet50", scale="standard", pretrained="imagenet", adapt="off",
                        optimizer=part("optimizer", "SGD", "standard", lr=MODELS[name].lr))  # fmt: skip
    data = paths(classes=("ring",), n_train=118_000)  # as many as COCO: nothing shortens the warm-up
    config, zoo = plain(rendered(trial, "standard", data)), plain(zoo_config(MODELS[name].zoo))
    pipeline = zoo["train_dataloader"]["dataset"]["pipeline"]
    if name == "scnet":
        assert pipeline[1].pop("with_seg") is True
    ours = config["train_dataloader"]["dataset"]["pipeline"]
    flip = ours[3]
    assert TRANSFORMS.build(dict(flip)).direction == TRANSFORMS.build({"type": "RandomFlip", "prob": 0.5}).direction
    del flip["direction"]  # written out, but the default
    assert ours == pipeline
    assert config["val_dataloader"]["dataset"]["pipeline"] == zoo["val_dataloader"]["dataset"]["pipeline"]

    assert config["optim_wrapper"] == {
        **zoo["optim_wrapper"],
        "optimizer": {"type": "SGD", "lr": MODELS[name].lr, "momentum": 0.9, "weight_decay": 0.0001},
    }  # fmt: skip
    assert config["param_scheduler"] == zoo["param_scheduler"]
    assert config["train_cfg"] == zoo["train_cfg"]
    assert config["load_from"] is None


@pytest.mark.parametrize("name", MODELS)
def test_the_catalog_knows_the_zoos_optimizer(name: str) -> None:
    entry = MODELS[name]
    zoo = plain(zoo_config(entry.zoo))
    assert (entry.optimizer["standard"], entry.lr, entry.weight_decay) == tuple(
        zoo["optim_wrapper"]["optimizer"][key] for key in ("type", "lr", "weight_decay")
    )
    # RTMDet's file says 16, and trains with 8 x 32: its name and its loader
    assert entry.zoo_batch == (8 * zoo["train_dataloader"]["batch_size"])


def fitted_to(name: str, off: dict[str, Any]) -> dict[str, Any]:
    """What `adapt: auto` writes for up to 300 objects an image of 10 pixels, at 320 x 256 and 400 detections."""
    model = off["model"]
    test = model["test_cfg"]
    if name == "mask2former":
        return {"model.test_cfg.max_per_image": (100, 400), "model.panoptic_head.num_queries": (100, 400)}
    if name == "queryinst":
        return {"model.test_cfg.rcnn.max_per_img": (100, 400), "model.rpn_head.num_proposals": (100, 400)}
    if name in ("solov2", "rtmdet_ins", "condinst"):
        expected = {"model.test_cfg.max_per_img": (100, 400)}
        if test["nms_pre"] < 800:
            expected["model.test_cfg.nms_pre"] = (test["nms_pre"], 800)
        for i, bounds in enumerate(model["mask_head"]["scale_ranges"] if name == "solov2" else ()):
            for j, pixels in enumerate(bounds):
                if pixels > 1:  # the shorter side is 256 instead of 800
                    expected[f"model.mask_head.scale_ranges.{i}.{j}"] = (pixels, round(pixels * 0.32))
        if name == "condinst":
            ranges = [[-1, 20], [20, 41], [41, 82], [82, 164], [164, 1e8]]
            expected["model.bbox_head.regress_ranges"] = (None, ranges)
        return expected
    expected = {
        "model.test_cfg.rcnn.max_per_img": (100, 400),
        "model.rpn_head.anchor_generator.scales.0": (8, 2.5),
    }
    for where, rpn in (("test_cfg.rpn", test["rpn"]), ("train_cfg.rpn_proposal", model["train_cfg"]["rpn_proposal"])):
        for key, wanted in (("max_per_img", 1200), ("nms_pre", 2400)):
            if rpn[key] < wanted:
                expected[f"model.{where}.{key}"] = (rpn[key], wanted)
    return expected


@pytest.mark.parametrize("scale", ["tiny", "standard"])
@pytest.mark.parametrize("name", MODELS)
def test_adapt_changes_what_it_says_and_only_that(name: str, scale: str) -> None:
    data = paths(max_instances=300, object_sizes=(10.0, 16.0, 40.0))
    off = plain(rendered(combination(name, adapt="off", scale=scale, image_size=[320, 256]), scale, data))
    on = plain(
        rendered(combination(name, adapt="auto", scale=scale, image_size=[320, 256]), scale, data, detections=400)
    )
    expected = fitted_to(name, off)
    if name == "condinst":
        off["model"]["bbox_head"]["regress_ranges"] = None
    evaluators = {f"{half}_evaluator.detections": (100, 400) for half in ("val", "test")}
    assert dict(differences(off, on)) == evaluators | expected


@pytest.mark.parametrize("name", ["mask2former", "queryinst"])
def test_no_more_detections_than_queries(name: str) -> None:
    few = combination(name).model_copy(update={"model": part("model", name, queries=20)})
    test = rendered(few)["model"]["test_cfg"]
    assert get(test, "max_per_image" if name == "mask2former" else "rcnn.max_per_img") == 20 * 2  # two classes


def differences(a: Any, b: Any, where: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for key in a:
            yield from differences(a[key], b[key], f"{where}.{key}" if where else key)
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from differences(x, y, f"{where}.{index}")
    elif a != b:
        yield where, (a, b)


def test_config_paths_set_what_they_name() -> None:
    trial = combination(
        config={
            "train_dataloader.batch_size": 3,
            "train_dataloader.dataset.pipeline.0.backend_args": {"backend": "local"},
            "+model.train_cfg.more.deep": [1],
        }
    )
    changed = dict(differences(plain(rendered(combination())), plain(rendered(trial))))
    assert changed.pop("model.train_cfg")[1]["more"] == {"deep": [1]}
    assert changed == {
        "train_dataloader.batch_size": (2, 3),
        "train_dataloader.dataset.pipeline.0.backend_args": (None, {"backend": "local"}),
    }


HOOKS = "checkpoint, logger, param_scheduler, sampler_seed, timer, visualization"


@pytest.mark.parametrize(
    ("path", "missing", "there"),
    [
        ("default_hooks.chekpoint", "default_hooks.chekpoint", HOOKS),
        ("default_hooks.chekpoint.interval", "default_hooks.chekpoint", HOOKS),
        ("randomness.sede", "randomness.sede", "seed"),
    ],
)
def test_a_path_that_is_not_there_is_refused(path: str, missing: str, there: str) -> None:
    message = f"{missing} is not in the rendered config, there are {there}; +{path} adds one"
    trial = combination(config={path: 1})
    with pytest.raises(UserError) as caught:
        rendered(trial)
    assert str(caught.value) == message
    assert unknown_paths(trial, "tiny") == {path: message}


def test_a_path_through_a_number_is_refused() -> None:
    trial = combination(config={"randomness.seed.more": 1})
    message = "randomness.seed.more is not in the rendered config: there is 0, which has no keys"
    assert unknown_paths(trial, "tiny") == {"randomness.seed.more": message}


@pytest.mark.parametrize("path", ["a.5", "a.x", "+a.5", "a.0.b", "+a.0.b", "t.0", "a.-1"])
def test_a_list_takes_only_numbers_of_its_items(path: str) -> None:
    config = {"a": [1, 2], "t": (1, 2)}
    with pytest.raises(UserError, match="is not in the rendered config"):
        set_path(config, path, 3)
    assert config == {"a": [1, 2], "t": (1, 2)}


def test_what_a_path_sets_reaches_neither_catalog_nor_combination() -> None:
    before = plain(rendered(combination()))
    trial = combination(
        config={
            "model.backbone.norm_cfg.requires_grad": False,
            "train_dataloader.dataset.pipeline.3.prob": 0.1,
            "+extra": {"a": 1},
            "extra.a": 2,
        }
    )
    digest = trial.digest()
    assert rendered(trial)["extra"] == {"a": 2}
    assert trial.digest() == digest
    assert plain(rendered(combination())) == before


@pytest.mark.parametrize(
    ("names", "limit", "expected"),
    [
        ([], None, (1333, 800)),
        (["flip"], None, (1333, 800)),
        (["flip"], [256, 256], (256, 256)),
        (["flip"], [320, 256], (320, 256)),
        (["flip"], [256, 320], (256, 320)),
        (["resize_1280x1024"], None, (1280, 1024)),
        (["resize_1280x1024"], [256, 256], (256, 205)),
        (["resize_1280x1024"], [320, 256], (320, 256)),
        (["resize_1280x1024"], [256, 200], (250, 200)),
        (["resize_1280x1024"], [200, 256], (250, 200)),
        (["resize_1280x1024"], [4000, 4000], (1280, 1024)),
        (["resize_1280x1024"], [640, 4000], (800, 640)),
        (["resize_1280x1024"], [4000, 512], (640, 512)),
        (["resize_1024x1024"], [256, 256], (256, 256)),
        (["resize_1333x800"], [256, 256], (256, 154)),
        (["resize_1024x1024", "flip", "resize_1280x1024"], [256, 256], (256, 205)),
    ],
)
def test_image_size(names: list[str], limit: list[int] | None, expected: tuple[int, int]) -> None:
    trial = combination(augmentation=tuple(names), image_size=limit)
    assert image_size(trial) == expected
    config = rendered(trial)
    for half in ("train", "val", "test"):
        pipeline = config[f"{half}_dataloader"]["dataset"]["pipeline"]
        assert [t["scale"] for t in pipeline if t["type"] == "Resize"] == [expected]


@pytest.mark.parametrize("limit", [[320, 256], [256, 320]])
def test_both_orders_of_a_plain_size_are_one_size_to_mmdetection(limit: list[int]) -> None:
    resize = rendered(combination(image_size=limit))["train_dataloader"]["dataset"]["pipeline"][2]
    picture = {"img": torch.zeros(1024, 1280, 3).numpy(), "img_shape": (1024, 1280)}
    assert TRANSFORMS.build(dict(resize))(picture)["img"].shape[:2] == (256, 320)


def test_standard_mask_rcnn_builds() -> None:
    """The one model of full size: with the parameters MMDetection's Mask R-CNN has for two classes."""
    register_all_modules(init_default_scope=True)
    model = MMDET_MODELS.build(Config(rendered(combination(scale="standard", backbone="resnet50"), "standard")).model)
    assert 43e6 < sum(p.numel() for p in model.parameters()) < 45e6
