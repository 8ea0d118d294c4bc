"""Reads a COCO label file and checks it against the pictures: every mistake found, none corrected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.data.annotation_checks import AnnotationChecks
from runner.data.datafile import meant
from runner.data.files import unreadable
from runner.data.image_checks import ImageChecks, check_categories
from runner.data.labels import Labels
from runner.errors import Problem

Progress = Callable[[int, int], None]
LISTS = {"images": "the pictures", "annotations": "their labels", "categories": "the classes"}


def read(path: Path) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The JSON document of a label file with its three lists, or what is wrong with it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return None, [Problem("", *unreadable(error))]
    try:
        # utf-8-sig: some editors begin a file with a byte order mark
        document = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return None, [_cut_off(raw, raw[: error.start].decode())]
        message = f"is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}"
        return None, [Problem("", message, "save it as UTF-8")]
    except json.JSONDecodeError as error:
        return None, [_broken_json(raw, error)]
    except RecursionError:
        return None, [Problem("", "is nested too deeply for a label file", "export the labels again")]
    if not isinstance(document, dict):
        message = f"expected a COCO label file, an object with {', '.join(LISTS)}; found {_kind(document)}"
        return None, [Problem("", message, "export the labels in COCO format")]
    problems = []
    for key, what in LISTS.items():
        if key not in document:
            problems.append(Problem(key, f"is missing; it lists {what}", meant(key, document)))
        elif not isinstance(document[key], list):
            problems.append(Problem(key, f"expected a list of {what}, found {_kind(document[key])}"))
        elif bad := [i for i, entry in enumerate(document[key]) if not isinstance(entry, dict)]:
            found = _kind(document[key][bad[0]])
            problems.append(Problem(f"{key}[{bad[0]}]", f"expected an object, found {found}"))
    return (None if problems else document), problems


def check(path: Path, images: Path, classes: tuple[str, ...] | None = None, progress: Progress | None = None) -> Labels:
    """Read a label file and check all of it against the folder of its pictures.

    Args:
        path: the label file.
        images: folder that its file names start from.
        classes: names to learn; None takes every category.
        progress: called with (entries checked, entries in all).
    """
    document, problems = read(path)
    if document is None:
        return Labels(path, images, {}, problems)
    entries, annotations = document["images"], document["annotations"]
    in_all = len(entries) + len(annotations)
    categories, learned = check_categories(document["categories"], classes, problems)
    try:
        pictures = ImageChecks(images, problems)
    except OSError as error:
        message, advice = unreadable(error)
        problems.append(Problem("images", f"the folder {images} {message}", advice))
        return Labels(path, images, {}, problems)
    for index, entry in enumerate(entries):
        pictures.check(index, entry)
        _tell(progress, index + 1, in_all)
    objects = AnnotationChecks(pictures, categories, learned, problems)
    for index, entry in enumerate(annotations):
        objects.check(index, entry)
        _tell(progress, len(entries) + index + 1, in_all)
    pictures.summarise()
    objects.summarise(len(entries))
    names = tuple(name for name in categories.values() if name in learned)
    incomplete = {**pictures.incomplete, **objects.incomplete}
    return Labels(
        path, images, document, problems, names, pictures.sizes, pictures.names, objects.instances, incomplete
    )


def _tell(progress: Progress | None, done: int, in_all: int) -> None:
    if progress and (done % 50 == 0 or done == in_all):
        progress(done, in_all)


def _broken_json(raw: bytes, error: json.JSONDecodeError) -> Problem:
    text = error.doc
    if not text.strip():
        return Problem("", "is empty", "copy or download it again")
    # a file cut off ends within a text, or in what begins a number or a word
    rest = text[error.pos :]
    unfinished = error.msg.startswith("Unterminated string") or re.fullmatch(r"[\w.+-]*\s*", rest)
    if unfinished and error.msg != "Extra data":
        return _cut_off(raw, text)
    offset = len(raw) - len(rest.encode())
    where = f"byte {offset} of {len(raw)} (line {error.lineno}, column {error.colno})"
    return Problem("", f"is no valid JSON: {error.msg} at {where}", "mend it there, or export it again")


def _cut_off(raw: bytes, text: str) -> Problem:
    line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    where = f"at byte {len(raw)} (line {line}, column {column})"
    return Problem("", f"is cut off: the JSON ends unfinished {where}", "copy or download it again")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    return f"{json.dumps(value, ensure_ascii=False):.60}"
