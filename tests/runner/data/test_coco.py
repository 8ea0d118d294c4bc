from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from runner.data import coco
from runner.data.files import write_picture
from runner.errors import Problem

Document = dict[str, Any]
Write = Callable[[Document], Path]
# pycocotools 2.0.11 does not know the newest numpy's keyword; nothing of ours
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
NUCLEI = Path(__file__).parents[2] / "data" / "nuclei"


def found(path: Path, classes: tuple[str, ...] | None = None) -> list[Problem]:
    return coco.check(path, path.parent / "train", classes).problems


def test_sound(labels: Write, sound: Document) -> None:
    checked = coco.check(labels(sound), labels(sound).parent / "train")
    assert checked.problems == [] and checked.incomplete == {}
    assert checked.classes == ("Normal",)
    assert checked.sizes == {1: (60, 40), 2: (60, 40), 3: (60, 40)}
    assert [instance.image for instance in checked.instances] == [1, 1, 2, 3]
    assert checked.instances[0].box == (5, 5, 10, 10)


@pytest.mark.parametrize("part", ["train", "val"])
def test_real_labels(part: str) -> None:
    checked = coco.check(NUCLEI / f"{part}.json", NUCLEI / part)
    assert checked.problems == []
    assert checked.classes == ("nucleus",)
    assert len(checked.instances) == {"train": 122, "val": 32}[part]


HINT = "remove the annotation, or draw it again"
DROP = "remove the key: the mask gives it"
A = "annotation 11 of a.png: "


@pytest.mark.parametrize(
    ("change", "key", "message", "suggestion"),
    [
        ({"segmentation": []}, "segmentation", "empty polygon", HINT),
        ({"segmentation": [[]]}, "segmentation", "empty polygon", HINT),
        ({"segmentation": [[5, 5, 15, 5, 15, 15], []]}, "segmentation[1]", "empty polygon", HINT),
        (
            {"segmentation": [[5, 5]]},
            "segmentation[0]",
            "polygon of 1 point; it takes 3 to enclose anything",
            HINT,
        ),
        (
            {"segmentation": [[5, 5, 15, 15]]},
            "segmentation[0]",
            "polygon of 2 points; it takes 3 to enclose anything",
            HINT,
        ),
        (
            {"segmentation": [[5, 5, 9, 9, 7, 8, 2]]},
            "segmentation[0]",
            "polygon of 7 numbers, an odd count; they are x, y in turn",
            HINT,
        ),
        (
            {"segmentation": [[5, 5, 10, 10, 15, 15]]},
            "segmentation",
            "degenerate polygon: its points enclose no area",
            HINT,
        ),
        (
            {"segmentation": [5, 5, 15, 5, 15, 15]},
            "segmentation",
            "one polygon where a list of polygons is expected",
            "put brackets round it: [[x, y, ...]]",
        ),
        (
            {"segmentation": [[5, 5, 15, float("nan"), 15, 15]]},
            "segmentation[0]",
            "expected finite numbers in the polygon, found nan",
            HINT,
        ),
        (
            {"segmentation": [[5, 5, 15, float("inf"), 15, 15]]},
            "segmentation[0]",
            "expected finite numbers in the polygon, found inf",
            HINT,
        ),
        (
            {"segmentation": [[5, 5, 15, "7", 15, 15]]},
            "segmentation[0]",
            "expected finite numbers in the polygon, found '7'",
            HINT,
        ),
        (
            {"segmentation": [[100, 5, 110, 5, 110, 15]]},
            "segmentation",
            "the mask covers no pixel of the image",
            HINT,
        ),
        (
            {"segmentation": None},
            "segmentation",
            "no mask: segmentation is missing; a box alone does not train instance segmentation",
            HINT,
        ),
        ({"segmentation": "x"}, "segmentation", "expected polygons or run lengths, found 'x'", HINT),
        (
            {"segmentation": {"counts": [2400], "size": [20, 120]}},
            "segmentation",
            "run lengths (RLE) of 20 x 120 (height x width), the image is 40 x 60",
            "export the label again for this picture",
        ),
        (
            {"segmentation": {"counts": [2400], "size": [60, 40]}},
            "segmentation",
            "run lengths (RLE) of 60 x 40 (height x width), the image is 40 x 60",
            "size is [height, width]; export the label again for this picture",
        ),
        (
            {"segmentation": {"counts": [2400]}},
            "segmentation",
            "run lengths (RLE): expected size [height, width], found nothing",
            HINT,
        ),
        (
            {"segmentation": {"counts": [100, 50], "size": [40, 60]}},
            "segmentation",
            "run lengths (RLE) add up to 150 pixels, the image has 2400",
            "export the label again",
        ),
        (
            {"segmentation": {"counts": [2401, -1], "size": [40, 60]}},
            "segmentation",
            "run lengths (RLE): expected whole numbers from 0, found -1",
            HINT,
        ),
        (
            {"segmentation": {"counts": "~~", "size": [40, 60]}},
            "segmentation",
            "run lengths (RLE): expected a list of numbers or COCO's string, found '~~'",
            HINT,
        ),
        (
            {"segmentation": {"counts": "`", "size": [40, 60]}},
            "segmentation",
            "run lengths (RLE): '`' is not COCO's compressed form",
            HINT,
        ),
        (
            {"segmentation": {"counts": [2400], "size": [40, 60]}},
            "segmentation",
            "the mask covers no pixel of the image",
            HINT,
        ),
        ({"bbox": [5, 5, 10]}, "bbox", "expected [x, y, width, height], found [5, 5, 10]", DROP),
        (
            {"bbox": [5, 5, 10, float("nan")]},
            "bbox",
            "expected [x, y, width, height], found [5, 5, 10, nan]",
            DROP,
        ),
        ({"bbox": [5, 5, 0, 10]}, "bbox", "box [5, 5, 0, 10] (x, y, width, height) has no area", DROP),
        (
            {"bbox": [70, 5, 10, 10]},
            "bbox",
            "box [70, 5, 10, 10] (x, y, width, height) lies outside the image of 60 x 40",
            "check that label and picture belong together",
        ),
        (
            {"bbox": [55, 5, 10, 10]},
            "bbox",
            "box [55, 5, 10, 10] (x, y, width, height) leaves the image of 60 x 40 by 5 pixels",
            "clip it to the image, or remove the key: the mask gives it",
        ),
        (
            {"bbox": [5, 5, 15, 15]},
            "bbox",
            "box [5, 5, 15, 15] (x, y, width, height) is not that of its mask, [5, 5, 10, 10]",
            "write [x, y, width, height], not two corners",
        ),
        (
            {"bbox": [30, 5, 10, 10]},
            "bbox",
            "box [30, 5, 10, 10] (x, y, width, height) is not that of its mask, [5, 5, 10, 10]",
            DROP,
        ),
        ({"area": 0}, "area", "expected an area above 0, found 0; training would leave it out", DROP),
    ],
)
def test_broken_masks_and_boxes(
    labels: Write, sound: Document, change: Document, key: str, message: str, suggestion: str
) -> None:
    sound["annotations"][0] |= change
    assert found(labels(sound)) == [Problem(f"annotations[0].{key}", A + message, suggestion)]


@pytest.mark.parametrize(
    ("change", "key", "message", "suggestion"),
    [
        (
            {"id": 12},
            "annotations[1].id",
            "annotation id 12 is used twice: by annotations[0] and annotations[1]",
            "number the annotations anew",
        ),
        ({"id": "x"}, "annotations[0].id", "expected a whole number, found 'x'", None),
        (
            {"category_id": 7},
            "annotations[0].category_id",
            "category 7 is not among the categories: 1 (Normal)",
            None,
        ),
        (
            {"category_id": None},
            "annotations[0].category_id",
            "category_id is missing; the categories are 1 (Normal)",
            None,
        ),
        (
            {"image_id": 99},
            "annotations[0].image_id",
            "image 99 is not in the list of images",
            "remove the annotation",
        ),
        ({"iscrowd": 2}, "annotations[0].iscrowd", "expected 0 or 1, found 2", None),
    ],
)
def test_broken_annotations(
    labels: Write, sound: Document, change: Document, key: str, message: str, suggestion: str | None
) -> None:
    sound["annotations"][0] |= change
    assert found(labels(sound)) == [Problem(key, message, suggestion)]


def test_broken_images(labels: Write, sound: Document) -> None:
    sound["images"] += [
        {"id": 4, "file_name": "aa.png", "width": 60, "height": 40},
        {"id": 1, "file_name": "d.png", "width": 60, "height": 40},
        {"id": 5, "file_name": "a.png", "width": 60, "height": 40},
        {"id": 6, "width": 60, "height": 40},
    ]
    sound["images"][1] |= {"width": 512, "height": 512}
    sound["annotations"] += [{**sound["annotations"][0], "id": 20 + i, "image_id": i} for i in (4, 5, 6)]
    path = labels(sound)
    assert found(path) == [
        Problem(
            "images[1].width",
            "the label file says 512 x 512 (width x height), the picture b.png is 60 x 40",
            "take the picture that was labelled, in its original size",
        ),
        Problem("images[3].file_name", f"no such picture: {path.parent}/train/aa.png", "did you mean a.png?"),
        Problem("images[4].id", "image id 1 is used twice: by a.png and d.png"),
        Problem("images[5].file_name", "a.png is listed twice (ids 1 and 5)", "merge the two entries"),
        Problem("images[6].file_name", "expected a file name, found nothing"),
    ]


def test_broken_pictures(labels: Write, sound: Document) -> None:
    path = labels(sound)
    train = path.parent / "train"
    whole = (train / "a.png").read_bytes()
    (train / "a.png").write_bytes(whole[:-8])
    (train / "b.png").write_bytes(b"not a picture")
    assert [(p.message, p.fatal) for p in found(path)] == [
        (f"{train}/a.png is cut off: the end of the PNG is missing", True),
        (f"{train}/b.png is no picture that can be read", True),
    ]


ALLOW = "allow reading it (chmod a+rX)"


@pytest.fixture
def loaded() -> None:
    """All code that reads labels is loaded: an unprivileged user may not."""
    coco.check(NUCLEI / "val.json", NUCLEI / "val")


@pytest.mark.usefixtures("loaded", "elsewhere")
def test_what_may_not_be_read(elsewhere: Path, sound: Document) -> None:
    path, train = elsewhere / "train.json", elsewhere / "train"
    path.write_text(json.dumps(sound))
    for name in ("a.png", "b.png", "c.png"):
        write_picture(train / name, np.full((40, 60), 128, np.uint8))
    (train / "b.png").chmod(0)
    denied = "cannot be read: permission denied"
    assert found(path) == [Problem("images[1].file_name", f"{train}/b.png {denied}", ALLOW)]
    for mode in (0o000, 0o400, 0o100):
        train.chmod(mode)
        assert found(path) == [Problem("images", f"the folder {train} {denied}", ALLOW)]
    train.chmod(0o700)
    path.chmod(0)
    assert found(path) == [Problem("", denied, ALLOW)]


def test_turned_pictures_are_as_wide_as_they_are_decoded(labels: Write, sound: Document) -> None:
    from PIL import Image

    path = labels(sound)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (40, 60)).save(path.parent / "train" / "t.jpg", exif=exif)
    sound["images"][0]["file_name"] = "t.jpg"
    (path.parent / "train" / "a.png").unlink()
    assert cv2.imread(str(path.parent / "train" / "t.jpg")).shape == (40, 60, 3)
    assert found(labels(sound)) == []


def test_warnings(labels: Write, sound: Document) -> None:
    sound["annotations"][0] |= {"bbox": [5, 5, 10, 10], "area": 1000}
    sound["annotations"][1] = _box(sound["annotations"][1], 51, 20)  # one pixel out
    del sound["annotations"][2:]
    sound["images"].pop()
    path = labels(sound)
    assert found(path) == [
        Problem(
            "annotations[0].area",
            "annotation 11 of a.png: area 1000, the mask has 100 pixels; scores by size use it",
            fatal=False,
        ),
        Problem(
            "annotations[1].bbox",
            "annotation 12 of a.png: box [51, 20, 10, 10] (x, y, width, height) leaves the image of 60 x 40"
            " by 1 pixels",
            fatal=False,
        ),
        Problem("images", f"1 picture in {path.parent}/train not in the label file: c.png", fatal=False),
        Problem("images", "1 of 2 images has no labels, and training leaves them out: b.png", fatal=False),
    ]


def _box(annotation: Document, x: float, y: float) -> Document:
    points = [x, y, x + 10, y, x + 10, y + 10, x, y + 10]
    return annotation | {"bbox": [x, y, 10, 10], "segmentation": [points]}


def test_what_can_be_filled_in_is_a_warning(labels: Write, sound: Document) -> None:
    for key in ("area", "bbox", "iscrowd"):
        del sound["annotations"][0][key]
    del sound["images"][0]["width"]
    path = labels(sound)
    assert found(path) == [
        Problem(
            "images",
            "width and height is missing in 1 of 3 images and is taken from the picture",
            fatal=False,
        ),
        Problem("annotations", "iscrowd is missing in 1 annotation and is taken as 0", fatal=False),
        Problem("annotations", "bbox is missing in 1 annotation and is computed from the mask", fatal=False),
        Problem("annotations", "area is missing in 1 annotation and is computed from the mask", fatal=False),
    ]
    checked = coco.check(path, path.parent / "train")
    assert checked.incomplete == {"width and height": 1, "iscrowd": 1, "bbox": 1, "area": 1}
    assert checked.instances[0].box == (5, 5, 10, 10)


def test_no_annotations(labels: Write, sound: Document) -> None:
    sound["annotations"] = []
    assert found(labels(sound)) == [
        Problem("annotations", "is empty: nothing to learn from", "take the label file of labelled images")
    ]


def test_classes_and_categories(labels: Write, sound: Document) -> None:
    sound["categories"].append({"id": 2, "name": "Debris"})
    sound["annotations"][3]["category_id"] = 2
    path = labels(sound)
    checked = coco.check(path, path.parent / "train", ("Normal",))
    assert checked.problems == [
        Problem(
            "annotations",
            "1 annotation of category Debris, which classes does not name, left out",
            fatal=False,
        )
    ]
    assert checked.classes == ("Normal",) and len(checked.instances) == 3
    # MMDetection numbers the classes in the file's order, whatever the order asked for
    assert coco.check(path, path.parent / "train", ("Debris", "Normal")).classes == ("Normal", "Debris")
    assert found(path, ("Normla", "Debris"))[0] == Problem(
        "categories",
        "class Normla is not among the categories of the label file: Normal, Debris",
        "did you mean Normal?",
    )
    sound["categories"] += [{"id": 2, "name": "X"}, {"id": 3, "name": "Debris"}, {"name": "Y"}, {"id": 4}]
    assert [p.message for p in found(labels(sound))] == [
        "category id 2 is used twice: Debris and X",
        "category Debris is listed twice",
        "expected a whole number, found nothing",
        "expected a name, found nothing",
    ]


def test_crowd_regions(labels: Write, sound: Document) -> None:
    region = np.zeros((40, 60), np.uint8)
    region[:, 50:] = 1
    counts = [2000, 400]
    sound["annotations"][0] |= {"iscrowd": 1, "segmentation": {"counts": counts, "size": [40, 60]}}
    sound["annotations"][0] |= {"bbox": [0, 0, 60, 40], "area": 400}
    path = labels(sound)
    checked = coco.check(path, path.parent / "train")
    assert checked.problems == [] and checked.instances[0].crowd
    assert np.array_equal(coco_mask.decode(checked.instances[0].rle), region)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths(labels: Write, sound: Document, compressed: bool) -> None:
    pixels = np.zeros((40, 60), np.uint8)
    pixels[5:15, 5:15] = 1
    pixels[8, 9] = 0
    rle = coco_mask.encode(np.asfortranarray(pixels))
    flat = pixels.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flat, [1 - flat[-1]]))))
    lengths = [int(n) for n in np.diff(np.concatenate(([0], edges)))]
    counts = rle["counts"].decode() if compressed else lengths
    sound["annotations"][0]["segmentation"] = {"size": [40, 60], "counts": counts}
    path = labels(sound)
    checked = coco.check(path, path.parent / "train")
    assert checked.problems == []
    assert np.array_equal(coco_mask.decode(checked.instances[0].rle), pixels)


def text_of(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    document, (problem,) = coco.read(path)
    assert document is None and problem.fatal
    return f"{problem.key}: {problem.message}; {problem.suggestion}"


def test_broken_json(tmp_path: Path, sound: Document) -> None:
    sound["images"][0]["file_name"] = "입자.png"
    text = json.dumps(sound, ensure_ascii=False).encode()
    cut = text[:200]
    assert text_of(tmp_path, cut) == (
        ": is cut off: the JSON ends unfinished at byte 200 (line 1, column 197); copy or download it again"
    )
    assert text_of(tmp_path, b"") == ": is empty; copy or download it again"
    assert text_of(tmp_path, b'{\n"images": [1 2]}') == (
        ": is no valid JSON: Expecting ',' delimiter at byte 15 of 18 (line 2, column 14);"
        " mend it there, or export it again"
    )
    assert text_of(tmp_path, '{"이름": 1}'.encode("cp949")) == (
        ": is not UTF-8: byte 0xc0 at offset 2; save it as UTF-8"
    )
    assert text_of(tmp_path, b"[1]") == (
        ": expected a COCO label file, an object with images, annotations, categories; found a list;"
        " export the labels in COCO format"
    )


@pytest.mark.parametrize("keep", range(1, 240))
def test_cut_anywhere_says_where(tmp_path: Path, sound: Document, keep: int) -> None:
    sound["images"][1]["file_name"] = "입자.png"
    sound["images"][2]["colour"] = True
    text = json.dumps(sound, ensure_ascii=False).encode()
    message = text_of(tmp_path, text[: len(text) * keep // 240])
    assert re.fullmatch(r": is cut off: the JSON ends unfinished at byte \d+ \(line 1, column \d+\); .*", message)


def test_lists_that_are_missing_or_none(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"image": [], "annotations": {}, "categories": [3]}')
    assert coco.read(path)[1] == [
        Problem("images", "is missing; it lists the pictures", "did you mean image?"),
        Problem("annotations", "expected a list of their labels, found an object"),
        Problem("categories[0]", "expected an object, found 3"),
    ]


def test_byte_order_mark_is_read(labels: Write, sound: Document) -> None:
    path = labels(sound)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert found(path) == []
