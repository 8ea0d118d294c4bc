"""Pictures with their labels drawn in, for the eye to check."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.data import files, masks
from runner.data.labels import Instance, Labels
from runner.data.report import Report
from runner.data.statistics import by_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

SMALLEST_SIDE = 640  # pixels; a smaller picture is enlarged, or its outlines would hide it
CAPTION = 30  # pixels, height of a line of the caption
FILL = 0.3

Progress = Callable[[int, int], None]


def write_overlays(report: Report, folder: Path, most: int, progress: Progress | None = None) -> list[Path]:
    """Write PNGs of up to ``most`` images of each labelled part, with masks, outlines, and a caption.

    The images are spread over the part from the fewest to the most instances, so that the extremes are seen.

    Returns:
        The files, ``PART_NAME.png`` below ``folder``.
    """
    jobs: list[tuple[str, Labels, int, list[Instance]]] = []
    for part, images in report.images.items():
        labels = report.labels.get(part, report.labels["train"])
        found = by_image(labels, images)
        jobs += [(part, labels, image, found[image]) for image in _sample(labels, found, most)]
    written = []
    for done, (part, labels, image, instances) in enumerate(jobs, start=1):
        name = labels.names[image]
        crowd = [i for i in labels.instances if i.image == image and i.crowd]
        picture = draw(files.read_picture(labels.images / name), instances, crowd, f"{part}  id {image}", labels)
        # names may hold folders, and two of them the same name: the whole name's hash keeps them apart
        tag = "" if "/" not in name else "_" + hashlib.sha256(name.encode()).hexdigest()[:6]
        path = folder / f"{part}_{Path(name).stem}{tag}.png"
        files.write_picture(path, picture)
        written.append(path)
        if progress:
            progress(done, len(jobs))
    return written


def draw(picture: Pixels, instances: list[Instance], crowd: list[Instance], title: str, labels: Labels) -> Pixels:
    """The picture (height, width, 3), enlarged where small, with one colour an instance and a caption."""
    canvas, zoom = enlarged(picture)
    grey = [(instance, (160, 160, 160)) for instance in crowd]
    for instance, colour in [*grey, *zip(instances, map(colour_of, range(len(instances))), strict=True)]:
        paint(canvas, instance.rle, colour, zoom)
    height, width = picture.shape[:2]
    names = {entry["id"]: entry["name"] for entry in labels.document["categories"]}
    counted = ", ".join(f"{sum(names[i.category] == name for i in instances)} {name}" for name in labels.classes)
    lines = [f"{title}  {width} x {height}  {counted}", "one colour per label; grey: crowd, not scored"]
    return captioned(canvas, lines)


def enlarged(picture: Pixels) -> tuple[Pixels, int]:
    """A copy of the picture, a whole number of times as large where it is small; and that number."""
    import cv2
    import numpy as np

    zoom = max(1, -(-SMALLEST_SIDE // max(picture.shape[:2])))
    return cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC).astype(np.uint8), zoom


def _sample(labels: Labels, found: dict[int, list[Instance]], most: int) -> list[int]:
    order = sorted(found, key=lambda image: (len(found[image]), labels.names[image]))
    if len(order) <= most:
        return order
    step = (len(order) - 1) / max(1, most - 1)
    return [order[round(place * step)] for place in range(most)]


def paint(canvas: Pixels, rle: masks.Rle, colour: tuple[int, int, int], zoom: int, fill: float = FILL) -> None:
    """Draws a mask into an enlarged picture: its outline, and its inside as far as `fill` says (0 to 1).

    Args:
        canvas: pixels of `enlarged`, changed in place.
        rle: compressed run lengths at the picture's own size.
        colour: blue, green, red, 0 to 255.
        zoom: of `enlarged`.
    """
    import cv2
    import numpy as np

    x, y, width, height = (int(n) for n in masks.boxes([rle])[0])
    if not width or not height:
        return
    mask = masks.crop(rle, x, y, width, height)
    mask = cv2.resize(mask, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    window = canvas[y * zoom : (y + height) * zoom, x * zoom : (x + width) * zoom]
    tinted = (1 - fill) * window + fill * np.array(colour)
    window[:] = np.where(mask[..., None] > 0, tinted, window).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(x * zoom, y * zoom))
    cv2.drawContours(canvas, outlines, -1, colour, 1 if max(canvas.shape) < 1000 else 2, cv2.LINE_AA)


def captioned(canvas: Pixels, lines: list[str]) -> Pixels:
    """The picture above lines of text."""
    import cv2
    import numpy as np

    band = np.full((CAPTION * len(lines) + 8, canvas.shape[1], 3), 24, np.uint8)
    for number, line in enumerate(lines):
        # cv2's own letters are ASCII: the file's name, in whatever script, is the overlay's name
        text = line.encode("ascii", "replace").decode()
        at = (10, CAPTION * (number + 1) - 6)
        cv2.putText(band, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (235, 235, 235), 1, cv2.LINE_AA)
    return np.vstack([canvas, band])


def colour_of(number: int) -> tuple[int, int, int]:
    """Blue, green, red (0 to 255) of an instance: the golden angle keeps neighbours' hues apart."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.381966 % 1.0, 0.85, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)
