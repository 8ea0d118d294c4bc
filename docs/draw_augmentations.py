"""Draws what each augmentation does, and writes the page that shows it.

python docs/draw_augmentations.py            # docs/pictures/augmentations.png and docs/augmentations.md
python docs/draw_augmentations.py --page     # the page alone, which a test compares with the catalog
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from runner.catalog import AUGMENTATIONS, Augmentation, Parameter
from runner.protocol import Combination, DataPaths, Part

DOCS = Path(__file__).parent
PAGE, PICTURE = DOCS / "augmentations.md", DOCS / "pictures" / "augmentations.png"
NUCLEI = DOCS.parent / "tests" / "data" / "nuclei"
SIZE = (176, 176)  # width and height of a drawn image
GAP, LABEL, DRAWS = 6, 20, 3
GREY = 235
BOX = (60, 220, 255)  # blue, green, red
HUES = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
LISTS = (("rotate", "mosaic", "brightness"),)

_HEAD = """# Augmentations

<!-- written by docs/draw_augmentations.py -->

A space names one, or a list that is applied in order; every parameter can be set or searched:

```yaml
fixed:
  augmentation: [rotate, {brightness: {probability: 0.3}}, resize_1280x1024]
search:
  augmentation: [none, flip, [mosaic, rotate], {copy_paste: {probability: 0.5, max_num_pasted: 20}}]
```

Images are loaded, resized to the study's size, then go through the list. What stands before `mosaic` or `copy_paste` is
done to each of the images that are mixed, what stands after it to the mixture. After a warp or a crop each box is the
hull of its mask, and objects that are gone are taken out; an image left without objects is replaced by another one.
No augmentation leaves an image larger than the study's size. All random numbers follow the trial's seed and the epoch.

*Strength* goes from 0 (none) to 1; in a list it adds up, to at most 1. 0.1: mirror image; 0.2: each kind of change of
grey values or colours; 0.3: each warp or change of scale; 0.4: crop; 0.5: other images mixed in.

| name | what it is | parameters: default (range) | strength | source |
|---|---|---|---|---|
"""
_FOOT = """
Drawn on an image of tests/data/nuclei, first as it is, then three times augmented, with probability 1 where there is
one: masks in colour, boxes around them. Half of what MinIoURandomCrop is given stays whole.

![each augmentation three times](pictures/augmentations.png)
"""


def page() -> str:
    """The page, from the catalog as it stands in this version."""
    return _HEAD + "".join(_row(entry) for entry in AUGMENTATIONS.values()) + _FOOT


def _row(entry: Augmentation) -> str:
    parameters = "<br>".join(_parameter(name, p) for name, p in entry.parameters.items()) or "none"
    return f"| `{entry.name}` | {entry.title} | {parameters} | {entry.strength:g} | {entry.source} |\n"


def _parameter(name: str, p: Parameter) -> str:
    values = ", ".join(map(str, p.choices)) if p.choices else f"{p.low:g} to {p.high:g}"
    shown = f"{p.default:g}" if isinstance(p.default, (int, float)) else p.default
    return f"`{name}` {shown} ({values}): {p.help}"


def _sheet() -> np.ndarray:
    """One row an augmentation: its name, the image as it is, three draws."""
    import runner.plugins  # noqa: F401  registers the transforms

    places = {
        f"{half}_{what}": str(NUCLEI / name)
        for half in ("train", "val")
        for what, name in (("images", half), ("annotations", f"{half}.json"))
    }
    data = DataPaths.model_validate(
        {"name": "nuclei", "hash": "", "classes": ("nucleus",), "sizes": (128, 128), "n_train": 12, "n_val": 4,
         "max_instances": 20, "object_sizes": (16, 22, 28), **places}
    )  # fmt: skip
    rows = [_drawn_row((name,), data) for name in AUGMENTATIONS if name != "none"]
    return np.vstack(rows + [_drawn_row(names, data) for names in LISTS])


def _drawn_row(names: tuple[str, ...], data: DataPaths) -> np.ndarray:
    import cv2

    plain, augmented = _dataset((), data), _dataset(names, data)
    np.random.seed(3)
    tiles = [_tile(plain[0])] + [_tile(augmented[0]) for _ in range(DRAWS)]
    gap = np.full((SIZE[1], GAP, 3), GREY, np.uint8)
    line = np.hstack([part for tile in tiles for part in (gap, tile)] + [gap])
    label = np.full((LABEL, line.shape[1], 3), GREY, np.uint8)
    text = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    cv2.putText(label, text, (GAP, LABEL - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([label, line])


def _dataset(names: tuple[str, ...], data: DataPaths) -> Any:
    """The training data set as a trial has it, without what packs its images."""
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    from runner.catalog import MODELS
    from runner.configfile import zoo_config
    from runner.render.data import set_data

    register_all_modules(init_default_scope=True)
    config = zoo_config(MODELS["mask_rcnn"].zoo)
    parts = [
        Part(name=name, params={key: 1.0 if key == "probability" else p.default for key, p in known.items()})
        for name in names
        for known in [AUGMENTATIONS[name].parameters]
    ]
    some = Part(name="any")
    trial = Combination(model=some, backbone=some, optimizer=some, augmentation=tuple(parts),
                        settings={"image_size": list(SIZE), "batch_size": 1})  # fmt: skip
    set_data(config, trial, data, 0)
    dataset = config["train_dataloader"]["dataset"]
    dataset["pipeline"].pop()
    return DATASETS.build(dataset)


def _tile(results: dict[str, Any]) -> np.ndarray:
    """The image in a frame of the study's size, masks in colour, boxes in white."""
    import cv2

    image = results["img"].astype(np.float32)
    for number, mask in enumerate(results["gt_masks"].masks):
        image[mask > 0] = _tinted(image[mask > 0], HUES[number % len(HUES)])
    image = np.clip(image, 0, 255).astype(np.uint8, order="C")
    for x1, y1, x2, y2 in results["gt_bboxes"].tensor.round().int().tolist():
        cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), BOX, 1)
    tile = np.full((SIZE[1], SIZE[0], 3), GREY, np.uint8)
    tile[: image.shape[0], : image.shape[1]] = image
    return tile


def _tinted(pixels: np.ndarray, hue: tuple[int, ...]) -> np.ndarray:
    return 0.6 * pixels + 0.4 * np.array(hue)


def _saved(sheet: np.ndarray) -> None:
    """With a palette of greys and tinted greys, which keeps the file small."""
    from PIL import Image

    greys = np.linspace(0, 255, 28)[:, None].repeat(3, axis=1)
    colours = np.vstack([greys, [GREY] * 3, BOX, *(_tinted(greys[::2], hue) for hue in HUES)]).round()
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours[:, ::-1].astype(np.uint8).tobytes())
    image = Image.fromarray(np.ascontiguousarray(sheet[..., ::-1]))
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


def main() -> None:
    """Writes the page, and the picture."""
    PAGE.write_text(page())
    if "--page" not in sys.argv[1:]:
        _saved(_sheet())


if __name__ == "__main__":
    main()
