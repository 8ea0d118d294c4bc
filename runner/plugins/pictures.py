"""What a model found, drawn beside the labels: one picture of a validation, for people who look rather than read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.runner import Runner

from runner.data import files, masks
from runner.data.overlays import captioned, colour_of, enlarged, paint
from runner.plugins.metric import StudyMetric

_IMAGES = 4
_SCORE = 0.3  # of what is drawn; the figures count everything
_WHITE = (255, 255, 255)


def draw(runner: Runner, target: Path) -> None:
    """Writes a PNG of up to four validation images: the latest predictions in colours, the labels in white outlines.

    The images are spread from the fewest to the most labels. Nothing is written where no masks were predicted.

    Args:
        runner: just after a validation.
        target: the file.

    Raises:
        OSError: it cannot be written.
    """
    metric = next((one for one in runner.val_loop.evaluator.metrics if isinstance(one, StudyMetric)), None)
    found = metric.latest("segm") if metric else None
    if found is None:
        return
    folder = Path(runner.val_dataloader.dataset.data_prefix["img"])
    labelled = sorted(found.params.imgIds, key=lambda image: len(found.cocoGt.imgToAnns[image]))
    step = max(1.0, (len(labelled) - 1) / max(1, _IMAGES - 1))
    chosen = list(dict.fromkeys(labelled[min(len(labelled) - 1, round(n * step))] for n in range(_IMAGES)))
    tiles = [_tile(folder, found.cocoGt, found.cocoDt, image) for image in chosen]
    files.write_picture(target, _grid(tiles))


def _tile(folder: Path, truth: Any, found: Any, image: int) -> Any:
    entry = truth.imgs[image]
    canvas, zoom = enlarged(files.read_picture(folder / entry["file_name"]))
    shown = [one for one in found.imgToAnns[image] if one["score"] >= _SCORE]
    for number, one in enumerate(shown):
        paint(canvas, one["segmentation"], colour_of(number), zoom)
    labels = truth.imgToAnns[image]
    for one in labels:
        rle = masks.encode(one["segmentation"], entry["height"], entry["width"])
        paint(canvas, rle, _WHITE, zoom, fill=0.0)
    return captioned(
        canvas, [f"id {image}: {len(shown)} found (score {_SCORE:g} and more), {len(labels)} labelled (white)"]
    )


def _grid(tiles: list[Any]) -> Any:
    """Two columns; smaller pictures stand in the upper left of their place."""
    height, width = (max(tile.shape[side] for tile in tiles) for side in (0, 1))
    places = [np.zeros((height, width, 3), np.uint8) for _ in range(len(tiles) + len(tiles) % 2 * (len(tiles) > 1))]
    for place, tile in zip(places, tiles, strict=False):
        place[: tile.shape[0], : tile.shape[1]] = tile
    return np.vstack([np.hstack(places[row : row + 2]) for row in range(0, len(places), 2)])
