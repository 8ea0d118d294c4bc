"""Trainings that start from weights: what fits is loaded to the last tensor, what does not fit fails in one line."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn
from trainings import Trainings, trainings
from trials import combination, lease, paths
from weights_server import Shelf, serving

from runner import plugins  # noqa: F401  registers our loader
from runner.catalog import BACKBONES
from runner.paths import TrialPaths
from runner.protocol import Combination, Lease, Objective, Result
from runner.render import render
from runner.training.loading import Watch, backbone_line, detector_line, watching
from runner.training.pretrained import placed
from runner.training.tensors import read
from runner.training.weights import OTHER_WEIGHTS, WeightsError

SPEC = importlib.util.find_spec("mmdet")
assert SPEC and SPEC.submodule_search_locations
TRAIN = Path(SPEC.submodule_search_locations[0]) / ".mim" / "tools" / "train.py"


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    register_all_modules(init_default_scope=True)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    with trainings(tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving() as shelf:
        yield shelf


def rendered(trial: Combination, classes: tuple[str, ...] = ("ring", "speck")) -> dict[str, Any]:
    return render(trial, 0, "tiny", paths(classes=classes), Objective(), 100)


def build(config: dict[str, Any], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model: nn.Module = MODELS.build(ConfigDict(config))
    return model


def start(config: dict[str, Any], source: str, fresh: tuple[str, ...] = ()) -> tuple[nn.Module, str]:
    """A backbone after loading, and what it says."""
    backbone = build({**config, "init_cfg": {"type": "Pretrained", "checkpoint": source}}, seed=1)
    with watching(backbone, source) as watch:
        backbone.init_weights()  # type: ignore[operator]
    return backbone, backbone_line(watch, source, fresh)


def tiny(name: str) -> dict[str, Any]:
    entry = BACKBONES[name]
    return {**entry.config, **entry.tiny}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [name for name in one if not torch.equal(one[name], other[name])]


# those that load by mmengine's own way, by MMDetection's, and by transformers'
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b3", "hrnet_w32", "swin_tiny", "pvt_tiny", "convnext_tiny"])
def test_every_tensor_of_a_backbone_comes_from_the_file(tmp_path: Path, name: str) -> None:
    config = tiny(name) | ({"convert_weights": False} if name in ("swin_tiny", "pvt_tiny") else {})
    source = str(tmp_path / "w.pth")
    original = build(config).state_dict()
    prefix = "backbone." if name == "swin_tiny" else ""
    names = {key.removeprefix("body."): value for key, value in original.items()}
    torch.save({f"{prefix}{key}": value for key, value in names.items()} | {"fc.weight": torch.ones(1)}, source)
    backbone, line = start(config, source)
    assert same(original, backbone.state_dict()) == []
    total = sum(t.is_floating_point() for t in original.values())
    assert re.fullmatch(rf"{total} of {total} tensors of the backbone, sha256 [0-9a-f]{{8}}", line)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b3", "swin_tiny", "pvt_tiny", "convnext_tiny"])
def test_one_tensor_too_few(tmp_path: Path, name: str) -> None:
    """EfficientNet draws its layers anew before it loads, which must not hide what the file lacks."""
    config = tiny(name) | ({"convert_weights": False} if name in ("swin_tiny", "pvt_tiny") else {})
    source = str(tmp_path / "w.pth")
    state = build(config).state_dict()
    lost = [key for key, value in state.items() if value.is_floating_point() and "norms" not in key][-1]
    prefix = "backbone." if name == "swin_tiny" else ""
    kept = {prefix + key.removeprefix("body."): value for key, value in state.items() if key != lost}
    torch.save(kept, source)
    with pytest.raises(WeightsError) as caught:
        start(config, source)
    message = str(caught.value)
    assert source in message and lost.removeprefix("body.") in message and message.endswith(OTHER_WEIGHTS)
    assert "\n" not in message
    if name == "resnet18":
        total = sum(t.is_floating_point() for t in state.values())
        assert message == (
            f"{source} gives {total - 1} of the {total} tensors of the backbone; first without: {lost}: "
            f"{tuple(state[lost].shape)} in the model, none of that name in the file; "
            f"write weights of this very architecture, or {OTHER_WEIGHTS}"
        )


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny", "convnext_tiny"])
def test_other_sizes(tmp_path: Path, name: str) -> None:
    source, standard, config = str(tmp_path / "w.pth"), dict(BACKBONES[name].config), tiny(name)
    if name == "swin_tiny":
        standard["convert_weights"] = config["convert_weights"] = False
    state = build(standard).state_dict()
    prefix = "backbone." if name == "swin_tiny" else ""
    torch.save({prefix + key.removeprefix("body."): value for key, value in state.items()}, source)
    with pytest.raises(WeightsError) as caught:
        start(config, source)
    message = str(caught.value)
    assert message.startswith(source) and "\n" not in message
    if name == "resnet18":
        assert (
            "gives 0 of the 100 tensors of the backbone; first without: conv1.weight: (16, 3, 7, 7) in the " in message
        )
        assert "model, (64, 3, 7, 7) in the file" in message


def test_what_no_weights_have_starts_as_it_would_have(tmp_path: Path) -> None:
    plain, config = build(tiny("resnet50")), tiny("resnet50_gc")
    source = str(tmp_path / "w.pth")
    torch.save(plain.state_dict(), source)
    backbone, line = start(config, source, BACKBONES["resnet50_gc"].fresh)
    first = build(config, seed=1).state_dict()
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, first[name] if "context_block" in name else plain.state_dict()[name]), name
    assert "new: layer2.0.context_block" in line
    with pytest.raises(WeightsError, match=r"first without: layer2\.0\.context_block"):
        start(config, source)


def test_the_authors_own_names(tmp_path: Path) -> None:
    """Swin's file has other names and none of the norms that MMDetection adds to the four maps."""
    source, config = str(tmp_path / "w.pth"), tiny("swin_tiny")
    original = build(config).state_dict()
    ways = {"patch_embed.projection": "patch_embed.proj", "stages.": "layers.", "attn.w_msa.": "attn.",
            "ffn.layers.0.0.": "mlp.fc1.", "ffn.layers.1.": "mlp.fc2."}  # fmt: skip
    given = {"norm.weight": torch.ones(1), "head.weight": torch.ones(1)}
    for name, tensor in original.items():
        for ours, theirs in ways.items():
            name = name.replace(ours, theirs)
        if not name.startswith("norm"):
            given[name] = tensor
    torch.save({"model": given}, source)
    assert placed({"backbone": config}, source)["model.backbone.convert_weights"]
    backbone, line = start(config, source, BACKBONES["swin_tiny"].fresh)
    kept = {k: v for k, v in original.items() if "downsample" not in k and not k.startswith("norm")}
    assert kept and same(kept, backbone.state_dict()) == []
    assert "(8 new: norm0.weight, norm0.bias, " in line
    del given["layers.1.blocks.0.norm1.weight"]
    torch.save({"model": given}, source)
    with pytest.raises(WeightsError, match=r"first without: stages\.1\.blocks\.0\.norm1\.weight"):
        start(config, source, BACKBONES["swin_tiny"].fresh)


def test_a_folder_of_hugging_face(tmp_path: Path) -> None:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = tiny("convnext_tiny")
    model = ConvNextForImageClassification(ConvNextConfig(**config["config"]))
    model.save_pretrained(tmp_path / "model")
    backbone, line = start(config, str(tmp_path / "model"), BACKBONES["convnext_tiny"].fresh)
    loaded, given = backbone.state_dict(), model.state_dict()
    shared = {k.removeprefix("body."): v for k, v in loaded.items() if "hidden_states_norms" not in k}
    assert same(shared, {k.removeprefix("convnext."): v for k, v in given.items()}) == []
    assert "new: body.hidden_states_norms" in line and line.endswith(", folder model")


def test_nothing_of_nothing(tmp_path: Path) -> None:
    source = str(tmp_path / "w.pth")
    torch.save({"other.weight": torch.ones(2)}, source)
    with pytest.raises(WeightsError, match="gives 0 of the 100 tensors"):
        start(tiny("resnet18"), source)


def test_not_a_number_is_no_weight(tmp_path: Path) -> None:
    source = str(tmp_path / "w.pth")
    state = build(tiny("resnet18")).state_dict()
    state["conv1.weight"][0, 0, 0, 0] = torch.nan
    torch.save(state, source)
    with pytest.raises(WeightsError, match=r"conv1.weight: \(16, 3, 7, 7\) in the model, not a number in the file"):
        start(tiny("resnet18"), source)


def test_a_backbone_that_never_asks() -> None:
    with pytest.raises(WeightsError, match="Linear loads no weights"), watching(nn.Linear(1, 1), "w.pth"):
        pass


def test_one_tensor_of_two_names_is_put_back() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight = module[0].weight
    before = module[0].weight.detach().clone()
    watch = Watch(module)
    with torch.no_grad():
        watch.blank({}, Path("w.pth"))
        watch.settle()
    assert torch.equal(module[0].weight, before) and len(watch.left) == 4


def test_blanking_draws_no_random_numbers(tmp_path: Path) -> None:
    source = str(tmp_path / "w.pth")
    torch.save(build(tiny("resnet18")).state_dict(), source)
    config = {**tiny("resnet18"), "init_cfg": {"type": "Pretrained", "checkpoint": source}}
    states = []
    for watched in (True, False):
        backbone = build(config)
        if watched:
            with watching(backbone, source):
                backbone.init_weights()  # type: ignore[operator]
        else:
            backbone.init_weights()  # type: ignore[operator]
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def whole(trial: Combination, classes: tuple[str, ...], path: Path) -> dict[str, Tensor]:
    state = build(rendered(trial, classes)["model"]).state_dict()
    torch.save({"state_dict": state, "meta": {}}, path)
    return state


def from_detector(config: dict[str, Any], source: str) -> tuple[dict[str, Tensor], str]:
    from mmengine.runner import load_checkpoint

    model = build(config["model"], seed=1)
    with watching(model, source) as watch:
        load_checkpoint(model, source, map_location="cpu")
    return model.state_dict(), detector_line(watch, source)


def test_a_detector_of_other_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sweep.weights")
    given = whole(combination(), ("one",), tmp_path / "w.pth")
    config = rendered(combination(pretrained=str(tmp_path / "w.pth")))
    assert placed(config["model"], str(tmp_path / "w.pth")) == {
        "load_from": str(tmp_path / "w.pth"), "model.backbone.init_cfg": None,
    }  # fmt: skip
    state, line = from_detector(config, str(tmp_path / "w.pth"))
    first = build(config["model"], seed=1).state_dict()
    other = [name for name in state if state[name].shape != given[name].shape]
    assert {name.rpartition(".")[0] for name in other} == {
        "roi_head.bbox_head.fc_cls", "roi_head.bbox_head.fc_reg", "roi_head.mask_head.conv_logits",
    }  # fmt: skip
    assert same({k: v for k, v in state.items() if k not in other}, given) == []
    assert same({k: v for k, v in state.items() if k in other}, first) == []
    total = sum(t.is_floating_point() for t in state.values())
    assert line.startswith(
        f"{total - 6} of {total} tensors of the model (at random: roi_head.bbox_head.fc_cls, "
        "roi_head.bbox_head.fc_reg, roi_head.mask_head.conv_logits), sha256 "
    )
    assert (
        "starts at random, roi_head.bbox_head.fc_cls.weight: (3, 128) in the model, (2, 128) in the file"
    ) in caplog.messages


def test_a_detector_of_another_kind_gives_backbone_and_neck(tmp_path: Path) -> None:
    given = whole(combination(), ("one",), tmp_path / "w.pth")
    state, line = from_detector(rendered(combination("solov2")), str(tmp_path / "w.pth"))
    shared = {name: t for name, t in state.items() if name.startswith(("backbone.", "neck."))}
    assert shared and same(shared, given) == []
    assert "(at random: mask_head.cls_convs.0.conv, " in line and " more)" in line


@pytest.mark.parametrize(("part", "other"), [("backbone", "resnet50"), ("neck", "hrnet_w32")])
def test_a_detector_with_another_part(tmp_path: Path, part: str, other: str) -> None:
    source = tmp_path / "w.pth"
    given = whole(combination("mask_rcnn", other), ("one",), source)
    if part == "neck":  # its backbone fits, but not what comes after it
        own = build(rendered(combination())["model"]).state_dict()
        given = {k: v for k, v in given.items() if not k.startswith("backbone.")}
        torch.save(given | {k: v for k, v in own.items() if k.startswith("backbone.")}, source)
    with pytest.raises(WeightsError, match=rf"gives \d+ of the \d+ tensors of the {part}; first without: {part}\."):
        from_detector(rendered(combination()), str(source))


@pytest.mark.parametrize(
    ("names", "backbone", "expected"),
    [
        (["conv1.weight", "fc.weight"], "resnet18", {}),
        (["module.conv1.weight"], "resnet18", {}),
        (["backbone.conv1.weight", "head.fc.weight"], "resnet18", {"prefix": "backbone."}),
        (["layers.0.blocks.0.norm1.weight", "head.weight"], "swin_tiny", {"convert": True}),
        (["backbone.stages.0.blocks.0.norm1.weight"], "swin_tiny", {"prefix": "backbone.", "convert": False}),
        (["patch_embed1.proj.weight"], "pvt_tiny", {"convert": True}),
        (["layers.0.0.projection.weight"], "pvtv2_b0", {"convert": False}),
        (["convnext.embeddings.weight", "classifier.weight"], "convnext_tiny", {}),
    ],
)
def test_where_the_weights_of_a_backbone_stand(
    tmp_path: Path, names: list[str], backbone: str, expected: dict[str, Any]
) -> None:
    source = str(tmp_path / "w.pth")
    torch.save({name: torch.ones(1) for name in names}, source)
    prefix = {"prefix": expected["prefix"]} if "prefix" in expected else {}
    convert = {"model.backbone.convert_weights": expected["convert"]} if "convert" in expected else {}
    model = rendered(combination("mask_rcnn", backbone, pretrained=source))["model"]
    assert placed(model, source) == {
        "load_from": None, "model.backbone.init_cfg": {"type": "Pretrained", "checkpoint": source, **prefix}, **convert,
    }  # fmt: skip


def small(**changes: Any) -> Combination:
    """The smallest training there is: epochs of twelve images of 64 x 64 pixels."""
    known = {"epochs": 1, "image_size": [64, 64], "batch_size": 4}
    return combination("mask_rcnn", "resnet18", **{**known, **changes})


def trained(desk: Trainings, what: Lease) -> Result:
    note = desk.end(what)
    assert note.result, note
    return note.result


def places(held: Lease) -> TrialPaths:
    return TrialPaths.of(held.work_dir, held.study, held.trial)


def state(path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


def failed(desk: Trainings, what: Lease) -> str:
    result = trained(desk, what)
    assert result.outcome == "failed"
    assert result.reason and "\n" not in result.reason
    return result.reason


STILL = {"optim_wrapper.optimizer.lr": 0.0}  # weights stay as they were


@pytest.fixture(scope="module")
def earlier(desk: Trainings, tmp_path_factory: pytest.TempPathFactory) -> TrialPaths:
    """A training from random weights."""
    held = lease(tmp_path_factory.mktemp("earlier"), small())
    result = trained(desk, held)
    assert result.outcome == "complete" and "pretrained" not in result.versions, result
    return places(held)


def weights_of(earlier: TrialPaths, kind: str, folder: Path, shelf: Shelf) -> str:
    """How to name what an earlier training gave: its checkpoint, or its backbone alone, as a file or as an address."""
    if kind == "backbone":
        tensors = state(earlier.last)
        torch.save({k.removeprefix("backbone."): v for k, v in tensors.items() if k.startswith("backbone.")},
                   folder / "backbone.pth")  # fmt: skip
        return str(folder / "backbone.pth")
    return shelf.put("/best_study.pth", earlier.last.read_bytes()) if kind == "url" else str(earlier.last)


@pytest.mark.parametrize("kind", ["detector", "backbone", "url"])
def test_a_training_begins_where_an_earlier_one_ended(
    tmp_path: Path, shelf: Shelf, desk: Trainings, earlier: TrialPaths, kind: str
) -> None:
    source = weights_of(earlier, kind, tmp_path, shelf)
    held = lease(tmp_path, small(pretrained=source, config=STILL))
    result = trained(desk, held)
    assert result.outcome == "complete", result.reason
    part = "backbone" if kind == "backbone" else "model"
    assert re.fullmatch(
        rf"{re.escape(source)}: (\d+) of \1 tensors of the {part}, sha256 [0-9a-f]{{8}}", result.versions["pretrained"]
    )
    assert result.versions["pretrained"] in places(held).log.read_text()
    later = state(places(held).last)
    kept = {k: v for k, v in later.items() if k.startswith("backbone.") or kind != "backbone"}
    moving = ("running_mean", "running_var", "num_batches_tracked")
    assert same({k: v for k, v in kept.items() if not k.endswith(moving)}, state(earlier.last)) == []
    assert result.config
    config = Config.fromstring(result.config, file_format=".py")
    assert (config.load_from, asked(config)) == ((None, source) if kind == "backbone" else (source, None))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["detector", "backbone", "url"])
def test_the_train_tool_starts_from_the_same_weights(
    tmp_path: Path, shelf: Shelf, desk: Trainings, earlier: TrialPaths, kind: str
) -> None:
    held = lease(tmp_path, small(pretrained=weights_of(earlier, kind, tmp_path, shelf)))
    result = trained(desk, held)
    assert result.config, result
    (tmp_path / "config.py").write_text(result.config)
    subprocess.run(
        [sys.executable, str(TRAIN), "config.py", "--work-dir", "tool"], cwd=tmp_path, check=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_PROXY": "127.0.0.1",
             "SWEEP_WEIGHTS": str(tmp_path / "cache")},
    )  # fmt: skip
    assert same(state(places(held).last), read(tmp_path / "tool" / "epoch_1.pth")["state_dict"]) == []
    assert losses(places(held).folder) == losses(tmp_path / "tool") != []


def losses(work_dir: Path) -> list[float]:
    rows = [json.loads(line) for line in next(work_dir.glob("*/vis_data/scalars.json")).read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def asked(config: Config) -> str | None:
    init = config.model.backbone.get("init_cfg")
    return init.checkpoint if init else None


def test_a_resume_needs_no_weights_and_remembers_them(tmp_path: Path, shelf: Shelf, desk: Trainings) -> None:
    torch.save(build(tiny("resnet18")).state_dict(), tmp_path / "w.pth")
    source = shelf.put("/w.pth", (tmp_path / "w.pth").read_bytes())
    held = lease(tmp_path, small(epochs=2, pretrained=source))
    assert desk.end(held, reports=1).kind == "report", "it is killed before the second epoch"
    assert state(places(held).last) and shelf.asked == ["/w.pth"]
    shelf.files["/w.pth"] = b"something else"
    for file in desk.cache.rglob("w.pth"):
        file.unlink()
    result = trained(desk, held)
    assert result.outcome == "complete", result.reason
    assert result.versions["pretrained"].startswith(f"{source}: 100 of 100 tensors of the backbone, sha256 ")
    assert shelf.asked == ["/w.pth"]
    assert result.config
    config = Config.fromstring(result.config, file_format=".py")
    assert (config.load_from, asked(config)) == (None, source), "a later training from it starts as this one did"
    assert json.loads(places(held).weights.read_text())["told"] == result.versions["pretrained"]


def test_failures_of_a_training_in_one_line(tmp_path: Path, shelf: Shelf, desk: Trainings) -> None:
    source = f"{shelf.url}/w.pth"
    assert failed(desk, lease(tmp_path, small(pretrained=source), number=0)) == (
        f"{source} can't be fetched: the answer is 404 Not Found; {OTHER_WEIGHTS}"
    )
    torch.save(build(dict(BACKBONES["resnet18"].config)).state_dict(), tmp_path / "w.pth")
    assert failed(desk, lease(tmp_path, small(pretrained=str(tmp_path / "w.pth")), number=1)).startswith(
        f"{tmp_path / 'w.pth'} gives 0 of the 100 tensors of the backbone; first without: conv1.weight: (16, 3, 7, 7) "
        "in the model, (64, 3, 7, 7) in the file; "
    )
    (tmp_path / "w.pth").unlink()
    assert failed(desk, lease(tmp_path, small(pretrained=str(tmp_path / "w.pth")), number=2)) == (
        f"there is no file {tmp_path / 'w.pth'} on this machine; {OTHER_WEIGHTS}"
    )


@pytest.mark.parametrize(
    ("pretrained", "expected"),
    [
        (
            "imagenet",
            "pretrained imagenet of resnet18: https://download.pytorch.org/models/resnet18-f37072fd.pth can't be",
        ),
        ("coco", "pretrained coco: MMDetection's zoo has no COCO weights of mask_rcnn with resnet18"),
        ("org/name", "org/name can't be fetched from the hub: "),
    ],
)
def test_weights_out_of_reach(tmp_path: Path, desk: Trainings, pretrained: str, expected: str) -> None:
    reason = failed(desk, lease(tmp_path, small(pretrained=pretrained)))
    assert reason.startswith(expected), reason
    assert pretrained == "coco" or reason.endswith(OTHER_WEIGHTS)
