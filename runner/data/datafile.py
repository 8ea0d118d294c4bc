"""The data file: where images and labels lie. Checks a plain document; reading YAML is somebody else's."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.data.files import unreadable
from runner.errors import Problem, UserError
from runner.named import named

KEYS = ("name", "train", "val", "holdout", "test", "classes")
_SPLIT = ("val", "holdout")  # what may be taken from the training images


@dataclass(frozen=True)
class Images:
    """A folder of pictures, and their label file where there is one."""

    images: Path
    annotations: Path | None = None


@dataclass(frozen=True)
class LabelledImages:
    """A folder of pictures and their COCO label file."""

    images: Path
    annotations: Path


@dataclass(frozen=True)
class Split:
    """Images taken from the training images: a share of them (0 to 1), drawn by a seed."""

    share: float
    seed: int = 0


@dataclass(frozen=True)
class DataFile:
    """A checked data file; all paths are absolute.

    Attributes:
        classes: names to learn; None takes every category of the label file.
        path: the file itself, for messages.
        holdout: labelled images that no trial and no ranking ever sees; a split takes them before that of `val` does.
    """

    name: str
    train: LabelledImages
    val: LabelledImages | Split
    test: Images | None = None
    classes: tuple[str, ...] | None = None
    path: Path | None = None
    holdout: LabelledImages | Split | None = None


def parse(document: object, base: Path, path: Path | None = None) -> tuple[DataFile | None, list[Problem]]:
    """Check a data file's document.

    Args:
        document: what the YAML says: mappings, lists, scalars.
        base: folder that relative paths start from.
        path: the file, for messages.

    Returns:
        The data file, or None where anything is wrong, and all problems with dotted keys.
    """
    reader = _Reader(base.absolute())
    data = reader.data_file(document, path)
    return (None if reader.problems else data), reader.problems


class _Reader:
    """Collects every problem of one document."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.problems: list[Problem] = []

    def wrong(self, key: str, message: str, suggestion: str | None = None) -> None:
        self.problems.append(Problem(key, message, suggestion))

    def data_file(self, document: object, path: Path | None) -> DataFile | None:
        if not isinstance(document, Mapping):
            self.wrong("", f"expected a mapping with train and val, found {_shown(document)}")
            return None
        self.known(document, "", KEYS)
        name = document.get("name", self.base.name)
        if not isinstance(name, str) or not name.strip():
            self.wrong("name", f"expected a name, found {_shown(name)}")
        train = self.images(document, "train", True)
        val = self.labelled(document, "val")
        holdout = self.labelled(document, "holdout") if "holdout" in document else None
        test = self.images(document, "test", False) if "test" in document else None
        classes = self.classes(document["classes"]) if "classes" in document else None
        if not isinstance(train, LabelledImages) or not isinstance(val, LabelledImages | Split):
            return None
        checked = Images(test.images, test.annotations) if test else None
        kept = holdout if isinstance(holdout, LabelledImages | Split) else None
        return DataFile(str(name), train, val, checked, classes, path, kept)

    def labelled(self, document: Mapping[object, object], key: str) -> LabelledImages | Images | Split | None:
        part = document.get(key)
        return self.split(part, key) if _is_split(part) else self.images(document, key, True)

    def known(self, document: Mapping[object, object], prefix: str, keys: tuple[str, ...]) -> None:
        for key in document:
            if key not in keys:
                message = f"unknown key; known are {', '.join(keys)}"
                self.wrong(f"{prefix}{key}", message, meant(str(key), keys))

    def images(self, document: Mapping[object, object], key: str, labelled: bool) -> LabelledImages | Images | None:
        form = "{images: FOLDER, annotations: FILE}" if labelled else "{images: FOLDER}"
        if key not in document:
            other = ", or {split: SHARE, seed: N}" if key in _SPLIT else ""
            self.wrong(key, f"is missing; expected {form}{other}")
            return None
        part = document[key]
        if not isinstance(part, Mapping):
            self.wrong(key, f"expected {form}, found {_shown(part)}")
            return None
        known = ("images", "annotations", "split", "seed") if key in _SPLIT else ("images", "annotations")
        self.known(part, f"{key}.", known)
        if key in _SPLIT and "seed" in part:
            self.wrong(f"{key}.seed", "goes with split only; images with a label file of their own are not drawn")
        folder = self.path(part, key, "images", True)
        if "annotations" not in part and not labelled:
            return Images(folder) if folder else None
        labels = self.path(part, key, "annotations", False)
        return LabelledImages(folder, labels) if folder and labels else None

    def path(self, part: Mapping[object, object], prefix: str, key: str, folder: bool) -> Path | None:
        kind = "folder" if folder else "file"
        value = part.get(key)
        if not isinstance(value, str) or not value.strip():
            found = f"found {_shown(value)}" if key in part else "it is missing"
            self.wrong(f"{prefix}.{key}", f"expected the path of a {kind}, {found}")
            return None
        try:
            path = named(self.base, value)
        except UserError as error:
            self.wrong(f"{prefix}.{key}", str(error))
            return None
        try:
            if path.is_dir() if folder else path.is_file():
                return path
            there = path.exists()
        except OSError as error:
            message, advice = unreadable(error)
            self.wrong(f"{prefix}.{key}", f"{path} {message}", advice)
            return None
        if there:
            self.wrong(f"{prefix}.{key}", f"expected a {kind}, {path} is none")
        else:
            self.wrong(f"{prefix}.{key}", f"no such {kind}: {path}", self.near_path(path, value, folder))
        return None

    def near_path(self, path: Path, value: str, folder: bool) -> str | None:
        try:
            names = [entry.name for entry in path.parent.iterdir() if entry.is_dir() == folder]
        except OSError:
            return None
        return meant(value, [str(Path(value).with_name(name)) for name in names])

    def split(self, part: object, key: str) -> Split | None:
        assert isinstance(part, Mapping)
        self.known(part, f"{key}.", ("split", "seed"))
        share, seed = part["split"], part.get("seed", 0)
        if not _is_number(share) or not 0 < share < 1:
            self.wrong(
                f"{key}.split",
                f"expected a share of the training images between 0 and 1, found {_shown(share)}",
                "write 0.2",
            )
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            self.wrong(f"{key}.seed", f"expected a whole number from 0, found {_shown(seed)}", "write 0")
        return None if self.problems else Split(float(share), int(seed))

    def classes(self, value: object) -> tuple[str, ...] | None:
        if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
            self.wrong("classes", f"expected a list of names, found {_shown(value)}")
            return None
        for name in sorted({name for name in value if value.count(name) > 1}):
            self.wrong("classes", f"{name} is named twice")
        return tuple(value)


def meant(name: str, names: Iterable[str]) -> str | None:
    """The suggestion for an unknown name: the most similar of some, None where none is similar."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else None


def _is_split(part: object) -> bool:
    return isinstance(part, Mapping) and "split" in part


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return f"a mapping with {', '.join(map(str, value))}" if value else "an empty mapping"
    if isinstance(value, list):
        return f"the list {value!r}" if value else "an empty list"
    return repr(value)
