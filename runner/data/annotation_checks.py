"""Checks of a label file's annotations: each one's image, class, box and mask.

Fatal is what MMDetection would stop at, or leave out of training while COCO's score counts it; the rest
are warnings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runner.data import masks
from runner.data.box_checks import box_of
from runner.data.image_checks import ImageChecks, is_finite, is_whole, listed, shown
from runner.data.labels import Instance
from runner.data.mask_checks import LabelError, Remark, mask_of
from runner.errors import Problem

GRACE = 10  # pixels by which areas may differ: a small mask's outline is most of it


class AnnotationChecks:
    """Checks the entries of ``annotations`` one by one.

    Attributes:
        instances: the sound ones of the classes to learn.
        incomplete: keys that can be filled in, and how many entries lack them.
    """

    def __init__(
        self,
        images: ImageChecks,
        categories: dict[int, str],
        learned: frozenset[str],
        problems: list[Problem],
    ) -> None:
        self.images, self.categories, self.learned, self.problems = images, categories, learned, problems
        self.instances: list[Instance] = []
        self.incomplete: dict[str, int] = {}
        self._ids: dict[int, int] = {}
        self._left_out: dict[str, int] = {}
        self._labelled: set[int] = set()

    def check(self, index: int, entry: dict[str, Any]) -> None:
        """Check one entry; what hangs on a broken part of it is not reported as well."""
        key = f"annotations[{index}]"
        category, image = self._category(key, entry), self._image(key, entry)
        self._identity(key, index, entry)
        crowd = self._crowd(key, entry)
        if image is not None:
            self._labelled.add(image)
        if image is None or image not in self.images.sizes:
            return
        where = f"annotation {entry.get('id')} of {self.images.names[image]}"
        remarks: list[Remark] = []
        try:
            instance = self._instance(key, index, entry, image, where, remarks)
        except LabelError as error:
            self._wrong(f"{key}{error.place}", f"{where}: {error}", error.suggestion)
            instance = None
        for place, text in remarks:
            self._warn(f"{key}{place}", f"{where}: {text}")
        if instance and category is not None and self.categories[category] in self.learned:
            self.instances.append(replace(instance, category=category, crowd=crowd))

    def _instance(
        self, key: str, index: int, entry: dict[str, Any], image: int, where: str, remarks: list[Remark]
    ) -> Instance:
        size = self.images.sizes[image]
        # width and height swap: run lengths think in rows first
        rle = mask_of(entry.get("segmentation"), size[1], size[0], remarks)
        given, crowd = entry.get("bbox"), bool(entry.get("iscrowd"))
        if given is None:
            self._missing("bbox")
        box = box_of(given, entry.get("segmentation"), rle, size, crowd, remarks)
        self._area(key, where, entry, rle)
        return Instance(index, image, 0, box, rle, False)

    def summarise(self, images: int) -> None:
        """What concerns all annotations together."""
        if not self._ids and not self._labelled:
            self._wrong("annotations", "is empty: nothing to learn from", "take the label file of labelled images")
            return
        bare = [name for number, name in self.images.known.items() if number not in self._labelled]
        if bare:
            count = f"{len(bare)} of {images} images {'has' if len(bare) == 1 else 'have'} no labels"
            self._warn("images", f"{count}, and training leaves them out: {listed(bare)}")
        for name, number in self._left_out.items():
            count = f"{number} annotation{'s' * (number > 1)} of category {name}"
            self._warn("annotations", f"{count}, which classes does not name, left out")
        for key, number in self.incomplete.items():
            source = "is taken as 0" if key == "iscrowd" else "is computed from the mask"
            where = f"{number} annotation{'s' * (number > 1)}"
            self._warn("annotations", f"{key} is missing in {where} and {source}")

    def _identity(self, key: str, index: int, entry: dict[str, Any]) -> None:
        number = entry.get("id")
        if not is_whole(number):
            self._wrong(f"{key}.id", f"expected a whole number, found {shown(number)}")
        elif number in self._ids:
            message = f"annotation id {number} is used twice: by annotations[{self._ids[number]}] and {key}"
            self._wrong(f"{key}.id", message, "number the annotations anew")
        else:
            self._ids[number] = index

    def _category(self, key: str, entry: dict[str, Any]) -> int | None:
        number = entry.get("category_id")
        if is_whole(number) and number in self.categories:
            name = self.categories[number]
            if name not in self.learned:
                self._left_out[name] = self._left_out.get(name, 0) + 1
            return int(number)
        known = ", ".join(f"{n} ({name})" for n, name in self.categories.items()) or "none"
        message = f"category {shown(number)} is not among the categories: {known}"
        if number is None:
            message = f"category_id is missing; the categories are {known}"
        self._wrong(f"{key}.category_id", message)
        return None

    def _image(self, key: str, entry: dict[str, Any]) -> int | None:
        number = entry.get("image_id")
        if is_whole(number) and number in self.images.known:
            return int(number)
        message = "image_id is missing" if number is None else f"image {shown(number)} is not in the list of images"
        self._wrong(f"{key}.image_id", message, "remove the annotation")
        return None

    def _crowd(self, key: str, entry: dict[str, Any]) -> bool:
        value = entry.get("iscrowd")
        if value is None:
            self._missing("iscrowd")
        elif value not in (0, 1):
            self._wrong(f"{key}.iscrowd", f"expected 0 or 1, found {shown(value)}")
        return bool(value)

    def _area(self, key: str, where: str, entry: dict[str, Any], rle: masks.Rle) -> None:
        area, real = entry.get("area"), float(masks.areas([rle])[0])
        if area is None:
            self._missing("area")
        elif not is_finite(area) or area <= 0:
            message = f"expected an area above 0, found {shown(area)}; training would leave it out"
            raise LabelError(message, "remove the key: the mask gives it", ".area")
        elif not 0.5 <= (area + GRACE) / (real + GRACE) <= 2:
            text = f"area {area:g}, the mask has {real:g} pixels; scores by size use it"
            self._warn(f"{key}.area", f"{where}: {text}")

    def _missing(self, key: str) -> None:
        self.incomplete[key] = self.incomplete.get(key, 0) + 1

    def _wrong(self, key: str, message: str, suggestion: str | None = None) -> None:
        self.problems.append(Problem(key, message, suggestion))

    def _warn(self, key: str, message: str) -> None:
        self.problems.append(Problem(key, message, fatal=False))
