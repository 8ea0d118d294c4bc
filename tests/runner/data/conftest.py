"""A small real data set of three pictures that a test may break."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.data.files import write_picture

Document = dict[str, Any]


def square(number: int, image: int, x: float, y: float, side: float = 10) -> Document:
    """An annotation: a square polygon."""
    points = [x, y, x + side, y, x + side, y + side, x, y + side]
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x, y, side, side],
        "area": side * side,
        "segmentation": [points],
    }


def document() -> Document:
    names = ["a.png", "b.png", "c.png"]
    return {
        "images": [{"id": i, "file_name": name, "width": 60, "height": 40} for i, name in enumerate(names, start=1)],
        "annotations": [
            square(11, 1, 5, 5),
            square(12, 1, 30, 20),
            square(13, 2, 10, 10),
            square(14, 3, 20, 5),
        ],
        "categories": [{"id": 1, "name": "Normal"}],
    }


@pytest.fixture
def labels(tmp_path: Path) -> Callable[[Document], Path]:
    """Writes three pictures of 40 x 60 into ``train`` and the given document into ``train.json``."""
    for name in ("a.png", "b.png", "c.png"):
        write_picture(tmp_path / "train" / name, np.full((40, 60), 128, np.uint8))

    def write(content: Document) -> Path:
        path = tmp_path / "train.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.fixture
def sound() -> Document:
    """A label document without a mistake."""
    return document()
