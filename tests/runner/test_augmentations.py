"""Every augmentation, and lists of them, at default and at full strength, over labelled microscope images."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from augmenting import EVERY, LISTS, config_of, dataset, default, digest, seed, strongest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from mmengine.runner import Runner
from trials import NUCLEI, nuclei

from runner.catalog import AUGMENTATIONS
from runner.catalog.augmentations import list_strength
from runner.configfile import nodes, to_text
from runner.errors import UserError
from runner.plugins.reproducible import ReproducibleHook
from runner.protocol import DataPaths, Part
from runner.standalone import without_plugins

DOCS = Path(__file__).parents[2] / "docs"
SEEDS = range(2)
IMAGES = (0, 5, 11)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> DataPaths:
    """The nuclei with boxes that are the hulls of their masks to begin with; the labelled ones are up to 4 px off."""
    plain = dataset(())
    document = json.loads((NUCLEI / "train.json").read_text())
    by_image = {image["id"]: [a for a in document["annotations"] if a["image_id"] == image["id"]]
                for image in document["images"]}  # fmt: skip
    for index in range(len(plain)):
        sample = plain[index]["data_samples"]
        masks = sample.gt_instances.masks.masks
        for label, mask in zip(by_image[sample.img_id], masks, strict=True):
            label["bbox"] = list(cv2.boundingRect(mask))
    path = tmp_path_factory.mktemp("exact") / "train.json"
    path.write_text(json.dumps(document))
    return nuclei(train_annotations=str(path))


def names(value: Any) -> str | None:
    return "+".join(value) if isinstance(value, tuple) else getattr(value, "__name__", None)


@pytest.mark.parametrize("of", [default, strongest], ids=names)
@pytest.mark.parametrize("chosen", EVERY, ids=names)
def test_boxes_are_the_hulls_of_masks(exact: DataPaths, chosen: tuple[str, ...], of: Callable[[str], Part]) -> None:
    """Image, boxes, labels and masks go together; equal seeds give equal bytes, different ones others."""
    data = dataset(tuple(of(name) for name in chosen), exact)
    seen = []
    for value in SEEDS:
        seed(value)
        items = [data[index] for index in IMAGES]
        seed(value)
        assert [digest(data[index]) for index in IMAGES] == [digest(item) for item in items]
        seen.append([digest(item) for item in items])
        for item in items:
            check(item)
    if any(parameter == "probability" for name in chosen for parameter in of(name).params) and of is default:
        assert seen[0] != seen[1]


def check(item: dict[str, Any]) -> None:
    pixels, sample = item["inputs"], item["data_samples"]
    truth = sample.gt_instances
    assert pixels.dtype == torch.uint8 and pixels.shape[0] == 3
    height, width = pixels.shape[1:]
    assert (height, width) == sample.img_shape == truth.masks.masks.shape[1:]
    assert max(height, width) <= 128, "the image never grows over the study's size"
    assert len(truth.bboxes) == len(truth.labels) == len(truth.masks) > 0
    assert set(np.unique(truth.masks.masks)) <= {0, 1}
    for box, mask in zip(truth.bboxes.tensor.numpy(), truth.masks.masks, strict=True):
        x, y, w, h = cv2.boundingRect(mask)
        assert np.abs(box - (x, y, x + w, y + h)).max() <= 1


def test_strengths_add_up() -> None:
    assert list_strength(()) == list_strength(("none",)) == 0
    assert list_strength(("flip",)) == list_strength(("resize_1280x1024",)) == 0.1
    assert list_strength(("shear", "equalize")) == 0.5
    assert list_strength(("all",)) == list_strength(("all", "flip")) == 1
    assert all(0 < entry.strength <= 1 for name, entry in AUGMENTATIONS.items() if name != "none")


@pytest.mark.parametrize("chosen", [("none",), *EVERY], ids=names)
def test_a_config_file_holds_every_augmentation(chosen: tuple[str, ...]) -> None:
    for of in (default, strongest):
        config = config_of(tuple(of(name) for name in chosen), nuclei(), (128, 128))
        text = to_text(config)
        assert "$" not in text
        assert Config.fromstring(text, file_format=".py").to_dict() == Config(config).to_dict()


def test_the_order_of_a_list_is_the_order_of_the_pipeline() -> None:
    """What stands before a mosaic is done to each of its images, what stands after it to the mosaic."""
    chosen = ("rotate", "mosaic", "brightness", "copy_paste", "flip")
    outer = config_of(tuple(map(default, chosen)), nuclei(), (256, 128))["train_dataloader"]["dataset"]
    inner = outer["dataset"]
    assert outer["type"] == inner["type"] == "StudyMixDataset"
    assert [t["type"] for t in outer["pipeline"]] == ["StudyCopyPaste", "RandomFlip", "PackDetInputs"]
    assert [t["type"] for t in inner["pipeline"]] == ["StudyMosaic", "Brightness"]
    assert [t["type"] for t in inner["dataset"]["pipeline"]] == [
        "LoadImageFromFile", "LoadAnnotations", "Resize", "RandomApply",
    ]  # fmt: skip
    assert inner["dataset"]["type"] == "CocoDataset"


def test_crops_and_scales_follow_the_size_of_the_study() -> None:
    for size in ((256, 128), (1280, 1024)):
        config = config_of(tuple(map(default, ("random_crop", "random_resize", "min_iou_random_crop"))), nuclei(), size)
        found = [t.get("crop_size", t.get("scale")) for t in nodes(config["train_dataloader"]["dataset"]["pipeline"])]
        assert [value for value in found if value] == [size] * 4


@pytest.mark.parametrize("chosen", LISTS, ids=names)
def test_a_list_trains(chosen: tuple[str, ...]) -> None:
    data, config = dataset(tuple(map(default, chosen))), config_of((), nuclei(), (128, 128))
    seed(0)
    model = MODELS.build(Config(config).model)
    model.train()
    batch = [data[0], data[5]]
    inputs = {key: [item[key] for item in batch] for key in batch[0]}
    loss, _ = model.parse_losses(model(**model.data_preprocessor(inputs, training=True), mode="loss"))
    loss.backward()
    assert torch.isfinite(loss)


def epochs(chosen: tuple[str, ...], numbers: list[int], workers: int) -> list[list[str]]:
    """What each epoch of a training shows the model."""
    config = Config(config_of(tuple(map(default, chosen)), nuclei(), (128, 128), workers)).train_dataloader
    loader = Runner.build_dataloader(config, seed=0)
    hook, drawn = ReproducibleHook(seed=0), []
    for epoch in numbers:
        hook.before_train_epoch(SimpleNamespace(epoch=epoch))
        batches = list(loader)
        drawn.append(
            [
                digest({"inputs": pixels, "data_samples": sample})
                for batch in batches
                for pixels, sample in zip(batch["inputs"], batch["data_samples"], strict=True)
            ]
        )
    return drawn


@pytest.mark.parametrize("chosen", [("albu",), LISTS[2]], ids=names)
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_after_a_resume_is_the_epoch_undisturbed(chosen: tuple[str, ...], workers: int) -> None:
    undisturbed = epochs(chosen, [0, 1, 2], workers)
    assert len({digest for epoch in undisturbed for digest in epoch}) > 24, "epochs differ"
    assert epochs(chosen, [2], workers) == undisturbed[2:]


def test_albumentations_transforms_are_drawn_apart() -> None:
    """Its own seed would give both transforms the same dice: always both or none."""
    step = AUGMENTATIONS["albu"].transforms[0] | {
        "transforms": [
            {"type": "InvertImg", "p": 0.5},
            {"type": "ChannelDropout", "channel_drop_range": (1, 1), "p": 0.5},
        ]
    }
    albu, seen = TRANSFORMS.build(step), set()
    seed(0)
    for _ in range(40):
        pixels = albu({"img": np.full((4, 4, 3), 10, np.uint8)})["img"]
        seen.add((int(pixels.max()) > 10, len(np.unique(pixels)) > 1))
    assert seen == {(False, False), (False, True), (True, False), (True, True)}


@pytest.mark.slow  # imports torch once more
def test_albumentations_never_asks_the_network() -> None:
    watch = (
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'urllib.Request'): print('ASKED', event, arguments)\n"
        "sys.addaudithook(refuse)\n"
        "import runner.plugins, albumentations\n"
        "print(albumentations.__version__)\n"
    )
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"[\d.]+\n", done.stdout), done.stdout


REFUSED = {
    ("mosaic",): "mosaic has no standalone form: MMDetection's own has no masks; leave out --standalone",
    ("flip", "copy_paste"): (
        "copy_paste has no standalone form: MMDetection's own takes only images of equal size; leave out --standalone"
    ),
    ("photometric_distortion", "equalize"): (
        "photometric_distortion before Equalize has no standalone form: MMDetection's own leaves no bytes; "
        "leave out --standalone"
    ),
}
PLAIN = [chosen for chosen in EVERY if len(chosen) == 1 and not AUGMENTATIONS[chosen[0]].mixes]


@pytest.mark.parametrize("chosen", REFUSED, ids=names)
def test_what_has_no_standalone_form_is_refused(chosen: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        without_plugins(to_text(config_of(tuple(map(default, chosen)), nuclei(), (128, 128))))
    assert str(caught.value) == REFUSED[chosen]


@pytest.mark.parametrize("chosen", PLAIN, ids=names)
def test_a_standalone_config_has_mmdetections_own_transforms(chosen: tuple[str, ...]) -> None:
    text = without_plugins(to_text(config_of(tuple(map(default, chosen)), nuclei(), (128, 128))))
    pipeline = Config.fromstring(text, file_format=".py").train_dataloader.dataset.pipeline
    built = [TRANSFORMS.build(transform) for transform in pipeline]
    assert not any(type(transform).__module__.startswith("runner") for transform in built)
    data = dataset(())
    data.pipeline.transforms = built
    seed(0)
    assert all(len(data[index]["data_samples"].gt_instances) for index in IMAGES)


def test_the_page_and_the_picture_show_the_catalog() -> None:
    """Else run python docs/draw_augmentations.py."""
    spec = importlib.util.spec_from_file_location("draw_augmentations", DOCS / "draw_augmentations.py")
    assert spec and spec.loader
    spec.loader.exec_module(script := importlib.util.module_from_spec(spec))
    assert (DOCS / "augmentations.md").read_text() == script.page()
    height = cv2.imread(str(DOCS / "pictures" / "augmentations.png")).shape[0]
    assert height == (len(AUGMENTATIONS) - 1 + len(script.LISTS)) * (script.SIZE[1] + script.LABEL)
