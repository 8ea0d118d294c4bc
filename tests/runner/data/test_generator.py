from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from runner.data import coco, masks
from runner.data.generator import generate, write_dataset
from runner.data.statistics import compute
from runner.errors import UserError

# pycocotools 2.0.11 does not know the newest numpy's keyword; nothing of ours
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SMALL = (256, 320)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 + 7 + 7 generated pictures of 256 x 320."""
    folder = tmp_path_factory.mktemp("generated") / "입자"
    write_dataset(folder, 30, SMALL, seed=3)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def test_files(made: Path) -> None:
    assert sorted(p.name for p in made.iterdir()) == [
        "data.yaml",
        "holdout",
        "holdout.json",
        "holdout_truth.json",
        "test",
        "test_truth.json",
        "train",
        "train.json",
        "train_truth.json",
        "val",
        "val.json",
        "val_truth.json",
    ]
    assert [len(list((made / split).iterdir())) for split in ("train", "val", "test", "holdout")] == [30, 7, 7, 7]
    assert not list(made.parent.glob(".*"))
    assert (made / "data.yaml").read_text(encoding="utf-8").splitlines()[-6:] == [
        'name: "입자"',
        "train: {images: train, annotations: train.json}",
        "val: {images: val, annotations: val.json}",
        "holdout: {images: holdout, annotations: holdout.json}",
        "test: {images: test}",
        "classes: [Normal]",
    ]


@pytest.mark.parametrize("name", ["train.json", "val.json", "train_truth.json", "test_truth.json"])
def test_labels_are_sound(made: Path, name: str) -> None:
    checked = coco.check(made / name, made / name.split("_")[0].split(".")[0])
    assert checked.problems == []
    assert checked.classes == ("Normal",)


def test_particles_are_as_many_and_as_large_as_promised(made: Path) -> None:
    numbers = compute(coco.check(made / "train_truth.json", made / "train"))
    low, middle, high = numbers.instances_per_image
    assert low >= 10 and 18 <= middle <= 34 and high <= 40
    smallest, p10, p50, p90, _ = numbers.object_sizes
    # radii of 5 to 14 pixels; a part of a particle is smaller
    assert smallest >= 12**0.5 and p10 > 5 * 1.77 * 0.8 and 11 < p50 < 18 and p90 < 14 * 1.77
    assert 0.3 < numbers.touching < 0.8
    assert numbers.overlapping_pairs < 5  # masks are what is seen; rounding outlines may share a pixel


def test_masks_agree_with_boxes_and_areas(made: Path) -> None:
    truth = COCO(str(made / "train_truth.json"))
    kinds = set()
    for annotation in truth.dataset["annotations"]:
        kinds.add(type(annotation["segmentation"]))
        rows, columns = np.nonzero(truth.annToMask(annotation))
        x, y, width, height = annotation["bbox"]
        assert (columns.min(), rows.min()) == (x, y)
        assert (columns.max() - x + 1, rows.max() - y + 1) == (width, height)
        assert len(rows) == annotation["area"] >= 10
    assert kinds == {list, dict}  # particles in one piece, and in several


def test_polygons_are_the_pixels_that_were_drawn() -> None:
    from runner.data.camera import photograph
    from runner.data.scene import draw_scene

    rng = np.random.default_rng([3, 0, 1, 0])
    scene = draw_scene(rng, 1024, 1280, 26)
    _, owner = photograph(scene, *SMALL, rng)
    _, found = generate(SMALL, 3, "train", 1)
    numbers = [n for n in range(1, len(scene.particles) + 1) if (owner == n).sum() >= 12]
    assert len(numbers) == len(found) > 10
    for number, instance in zip(numbers, found, strict=True):
        drawn = masks.from_pixels(owner == number)
        shared = masks.ious([drawn, masks.encode(instance.segmentation, *SMALL)])[0, 1]
        assert shared > 0.93


def test_particles_look_unlike_what_is_behind_them(made: Path) -> None:
    truth = COCO(str(made / "train_truth.json"))
    seen = []
    for image in truth.dataset["images"][:10]:
        pixels = cv2.imread(str(made / "train" / image["file_name"]), cv2.IMREAD_GRAYSCALE)
        inside = sum(truth.annToMask(a) for a in truth.imgToAnns[image["id"]]) > 0
        assert 10 < pixels.std() < 60 and pixels.max() > 150
        seen.append(float(pixels[~inside].mean()) - float(pixels[inside].mean()))
    assert min(seen) > 10  # darker than the light behind


def test_unlabelled_share(made: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        truth = read(made / f"{split}_truth.json")["annotations"]
        share = sum(not annotation["labelled"] for annotation in truth) / len(truth)
        assert 0.04 < share < 0.17
        if split == "test":
            continue
        kept = [a["segmentation"] for a in read(made / f"{split}.json")["annotations"]]
        assert kept == [a["segmentation"] for a in truth if a["labelled"]]
        assert all("labelled" not in a for a in read(made / f"{split}.json")["annotations"])
    write_dataset(tmp_path / "all", 2, SMALL, seed=3, unlabelled=0)
    assert all(a["labelled"] for a in read(tmp_path / "all" / "train_truth.json")["annotations"])
    half = write_dataset(tmp_path / "half", 12, SMALL, seed=3, unlabelled=0.5).parent
    truth = read(half / "train_truth.json")["annotations"]
    assert 0.4 < sum(a["labelled"] for a in truth) / len(truth) < 0.6


def test_same_seed_same_files_whatever_the_number(made: Path, tmp_path: Path) -> None:
    again = write_dataset(tmp_path / "입자", 30, SMALL, seed=3).parent
    assert hashes(again) == hashes(made)
    fewer = hashes(write_dataset(tmp_path / "few", 3, SMALL, seed=3, unlabelled=0.6, val=1, test=1).parent)
    pictures = {name: value for name, value in fewer.items() if name.endswith(".png")}
    assert len(pictures) == 7
    assert pictures.items() <= hashes(made).items()
    other = hashes(write_dataset(tmp_path / "other", 3, SMALL, seed=4, val=1, test=1).parent)
    assert not set(other.values()) & set(fewer.values())


def test_splits_differ() -> None:
    one, two, three = (generate(SMALL, 0, split, 0)[0] for split in ("train", "val", "test"))
    assert not np.array_equal(one, two) and not np.array_equal(two, three)


def test_a_large_picture_is_the_small_one_enlarged() -> None:
    large, many = generate((1024, 1280), 0, "train", 0)
    small, few = generate(SMALL, 0, "train", 0)
    assert large.shape == (1024, 1280) and len(many) - 2 <= len(few) <= len(many)
    shrunk = cv2.resize(large, SMALL[::-1], interpolation=cv2.INTER_AREA)
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.8


def test_a_part_of_the_scene_shows_fewer_particles_and_larger() -> None:
    whole = [instance for n in range(8) for instance in generate(SMALL, 0, "train", n)[1]]
    part = [instance for n in range(8) for instance in generate(SMALL, 0, "train", n, view=0.25)[1]]
    assert 0.15 < len(part) / len(whole) < 0.4
    areas = [float(np.median([instance.area for instance in seen])) for seen in (whole, part)]
    assert 2.5 < areas[1] / areas[0] < 6


def test_default_counts_and_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = tmp_path / "few"
    folder.mkdir()  # an empty folder is fine
    write_dataset(folder, 4, (64, 80), progress=lambda done, of: seen.append((done, of)))
    assert seen == [(n, 10) for n in range(1, 11)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": 0}, "at least 1 picture of each kind is generated, not 0"),
        ({"size": (32, 320)}, "pictures of 32x320: height and width must lie between 64 and 16384 pixels"),
        ({"seed": -1}, "the seed must be 0 or more, not -1"),
        ({"unlabelled": 1.0}, "the unlabelled share must be 0 or more and less than 1, not 1"),
        ({"view": 0}, "the share of the scene in view must be more than 0 and at most 1, not 0"),
        ({"density": 0}, "the density must be more than 0 and at most 200 particles a picture, not 0"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        write_dataset(tmp_path / "x", **({"images": 1, "size": (64, 80)} | arguments))
    assert str(error.value) == message
    assert not (tmp_path / "x").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError) as error:
        write_dataset(tmp_path, 1, (64, 80))
    assert str(error.value) == f"{tmp_path} is not empty; name a new folder, or empty this one first"
    with pytest.raises(UserError) as error:
        write_dataset(tmp_path / "mine.txt", 1, (64, 80))
    assert str(error.value) == f"{tmp_path}/mine.txt is a file; name a folder that does not exist yet"
    with pytest.raises(UserError) as error:
        write_dataset(tmp_path / "mine.txt" / "x", 1, (64, 80))
    assert str(error.value).startswith(f"{tmp_path}/mine.txt/x cannot be written: ")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_left_of_what_was_interrupted(tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "x", 4, (64, 80), progress=stop)
    assert list(tmp_path.iterdir()) == []
