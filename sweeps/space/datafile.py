"""Reads a data file: YAML to where images and labels lie, or every mistake in it."""

from __future__ import annotations

import re
from pathlib import Path

from runner.data.datafile import DataFile, parse
from sweeps.space.document import MAX_BYTES, read
from sweeps.space.problems import SpaceErrors, SpaceProblem

_COCO = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_LINES = "the lines `train: {{images: FOLDER, annotations: {labels}}}` and `val: {{split: 0.2}}`"


def read_data_file(path: Path) -> DataFile:
    """The data file; labels and pictures are not looked into.

    Raises:
        SpaceErrors: every mistake in it.
    """
    if _is_coco(path):  # before it is read as YAML, which takes minutes where there are many labels
        hint = f"name it in a data file with {_LINES.format(labels=path.name)}"
        raise SpaceErrors([SpaceProblem(str(path), 1, 1, "", "this is a COCO label file", hint)])
    document = read(path)
    if "train" not in document.data and {"search", "fixed", "stages"} & document.data.keys():
        hint = f"a data file has {_LINES.format(labels='FILE')}"
        raise SpaceErrors([SpaceProblem(str(path), 1, 1, "", "this is a search space", hint)])
    described, problems = parse(document.data, path.absolute().parent, path)
    if described is None:
        raise SpaceErrors(
            [SpaceProblem(str(path), *document.locate(p.key), p.key, p.message, p.suggestion) for p in problems]
        )
    return described


def mistakes(path: Path) -> list[SpaceProblem]:
    """Every mistake in a data file."""
    try:
        read_data_file(path)
    except SpaceErrors as error:
        return error.problems
    return []


def _is_coco(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(MAX_BYTES)
    except OSError:  # whoever reads it as YAML says so
        return False
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") and _COCO.search(head) is not None
