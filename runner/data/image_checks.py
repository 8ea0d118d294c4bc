"""Checks of a label file's images and categories."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeGuard

from runner.data.datafile import meant
from runner.data.files import BrokenPictureError, list_pictures, picture_size, unreadable
from runner.errors import Problem


def check_categories(
    entries: list[dict[str, Any]], classes: tuple[str, ...] | None, problems: list[Problem]
) -> tuple[dict[int, str], frozenset[str]]:
    """Category id -> name, and the names that are to be learned."""
    found: dict[int, str] = {}
    for index, entry in enumerate(entries):
        key = f"categories[{index}]"
        number, name = entry.get("id"), entry.get("name")
        if not is_whole(number):
            problems.append(Problem(f"{key}.id", f"expected a whole number, found {shown(number)}"))
        elif not isinstance(name, str) or not name:
            problems.append(Problem(f"{key}.name", f"expected a name, found {shown(name)}"))
        elif number in found:
            problems.append(Problem(f"{key}.id", f"category id {number} is used twice: {found[number]} and {name}"))
        elif name in found.values():
            problems.append(Problem(f"{key}.name", f"category {name} is listed twice"))
        else:
            found[number] = name
    if not entries:
        problems.append(Problem("categories", "is empty: no class to learn"))
    for name in classes or ():
        if name not in found.values():
            listed = ", ".join(found.values()) or "none"
            message = f"class {name} is not among the categories of the label file: {listed}"
            problems.append(Problem("categories", message, meant(name, found.values())))
    return found, frozenset(found.values() if classes is None else classes)


class ImageChecks:
    """Checks the entries of ``images`` one by one.

    Raises:
        OSError: the folder cannot be read.

    Attributes:
        sizes, names: image id -> (width, height) in pixels, file name; of sound images.
        known: every image id, sound or not, so that its annotations are not reported as well.
        incomplete: keys that can be filled in, and how many entries lack them.
    """

    def __init__(self, folder: Path, problems: list[Problem]) -> None:
        self.folder, self.problems = folder, problems
        self.sizes: dict[int, tuple[int, int]] = {}
        self.names: dict[int, str] = {}
        self.known: dict[int, str] = {}
        self.incomplete: dict[str, int] = {}
        self.pictures = [path.name for path in list_pictures(folder)]
        self._files: dict[str, int] = {}

    def check(self, index: int, entry: dict[str, Any]) -> None:
        """Check one entry: id, file name, the picture itself, and its size."""
        key, name, number = f"images[{index}]", entry.get("file_name"), entry.get("id")
        if not isinstance(name, str) or not name:
            self._wrong(f"{key}.file_name", f"expected a file name, found {shown(name)}")
            name = None
        if not is_whole(number):
            self._wrong(f"{key}.id", f"expected a whole number, found {shown(number)}")
            return
        if number in self.known:
            self._wrong(f"{key}.id", f"image id {number} is used twice: by {self.known[number]} and {name}")
            return
        self.known[number] = name or f"image {number}"
        if name is None:
            return
        if name in self._files:
            ids = f"ids {self._files[name]} and {number}"
            self._wrong(f"{key}.file_name", f"{name} is listed twice ({ids})", "merge the two entries")
            return
        self._files[name] = number
        size = self._picture(key, name)
        if size and self._agrees(key, name, entry, size):
            self.sizes[number], self.names[number] = size, name

    def summarise(self) -> None:
        """What concerns all images together."""
        if not self.known:
            self._wrong("images", "is empty: no picture to train on")
        if spare := sorted(set(self.pictures) - {Path(name).name for name in self._files}):
            count = f"{len(spare)} picture{'s' * (len(spare) > 1)}"
            message = f"{count} in {self.folder} not in the label file: {listed(spare)}"
            self.problems.append(Problem("images", message, fatal=False))
        for key, lacking in self.incomplete.items():
            message = f"{key} is missing in {lacking} of {len(self.known)} images and is taken from the picture"
            self.problems.append(Problem("images", message, fatal=False))

    def _picture(self, key: str, name: str) -> tuple[int, int] | None:
        path = self.folder / name
        try:
            if path.is_file():
                return picture_size(path)
        except BrokenPictureError as error:
            self._wrong(f"{key}.file_name", f"{path} {error}", "copy or download it again")
        except OSError as error:
            message, advice = unreadable(error)
            self._wrong(f"{key}.file_name", f"{path} {message}", advice)
        else:
            self._wrong(f"{key}.file_name", f"no such picture: {path}", meant(name, self.pictures))
        return None

    def _agrees(self, key: str, name: str, entry: dict[str, Any], size: tuple[int, int]) -> bool:
        told = (entry.get("width"), entry.get("height"))
        if None in told:
            self.incomplete["width and height"] = self.incomplete.get("width and height", 0) + 1
            return True
        if told == size:
            return True
        hint = "take the picture that was labelled, in its original size"
        real = f"the picture {name} is {size[0]} x {size[1]}"
        message = f"the label file says {told[0]} x {told[1]} (width x height), {real}"
        self._wrong(f"{key}.width" if told[0] != size[0] else f"{key}.height", message, hint)
        return False

    def _wrong(self, key: str, message: str, suggestion: str | None = None) -> None:
        self.problems.append(Problem(key, message, suggestion))


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number, and not true or false."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """A number that is neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def shown(value: object) -> str:
    """A JSON value in a message, shortened."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(names: list[str], most: int = 3) -> str:
    """The first names, and how many more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
