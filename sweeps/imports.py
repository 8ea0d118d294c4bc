"""Results from elsewhere, put beside a study's own: what they say of its search, and who may learn from them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from results.importing import read_table
from results.records import ImportRecord, StudyRecord, now
from results.tried import show
from runner.catalog import PARTS
from runner.errors import UserError
from runner.protocol import Combination, DataPaths, Line, Message, Name, Scalar, Scale, digest
from sweeps.space.exclusion import forbidden
from sweeps.space.resolve import resolve
from sweeps.space.schema import SamplerKind, SearchSpace
from sweeps.space.walk import Assignment, planned, suggest

Keep = Callable[[Sequence[ImportRecord]], int]
_MOST_ROWS = 100_000
_LABELLED = ("owner", "score")  # what does not belong to the name of a row
_ROUNDED = 1e-5  # tables have six digits
_ZOO = re.compile(r"_(?P<backbone>r18|r50|r101)_fpn.*$")
_BACKBONES = {"r18": "resnet18", "r50": "resnet50", "r101": "resnet101"}


class _UnknownError(Exception):
    """Something that is searched is not in the row, or is not one of what is searched."""


class ImportedRow(Message):
    """A row of a table: its line in the file, what stands under which heading, and its score."""

    line: int = Field(ge=1, le=_MOST_ROWS)
    cells: dict[Line, Line] = Field(max_length=100)
    score: float = Field(ge=0, le=1)


class ImportedTable(Message):
    """A table on its way to whoever owns the study.

    Attributes:
        source: name of the file.
        metric: what its scores are.
        keep: whether its rows are to stand beside the study; else they are only interpreted.
    """

    source: Name
    metric: Name
    rows: tuple[ImportedRow, ...] = Field(max_length=_MOST_ROWS)
    keep: bool


class Imported(Message):
    """What became of a table.

    Attributes:
        rows: each with what it says of the study's search, or why it says nothing.
        new: how many were not kept before; None where nothing was to be kept.
        sampler: that of the study.
    """

    rows: list[ImportRecord]
    new: int | None
    sampler: SamplerKind


def read(path: Path, metric: str, keep: bool) -> ImportedTable:
    """The message of a CSV file.

    Raises:
        UserError, ResultsError: it cannot be read, or has bad rows; one line for each.
    """
    rows = [{"line": row.line, "cells": row.cells, "score": row.score} for row in read_table(path)]
    try:
        return ImportedTable.model_validate({"source": path.name, "metric": metric, "rows": rows, "keep": keep})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def taken(table: ImportedTable, record: StudyRecord, space: SearchSpace, keep: Keep | None = None) -> Imported:
    """What becomes of a table.

    Args:
        table: its scores are of its metric.
        record: the study.
        space: its space.
        keep: puts the rows beside the study's own, and says how many are new; None leaves them.
    """
    rows = understood(table, record, space)
    return Imported(rows=rows, new=keep(rows) if keep and table.keep else None, sampler=planned(space)[0])


def understood(table: ImportedTable, record: StudyRecord, space: SearchSpace) -> list[ImportRecord]:
    """The rows of a table, each with what it says of the study's search, or why it says nothing.

    Args:
        table: its scores are of its metric.
        record: the study.
        space: its space.
    """
    scale: Scale = record.scale
    n_train = DataPaths.model_validate(record.data).n_train
    return [_row(row, table.source, table.metric, record, space, scale, n_train) for row in table.rows]


def _row(
    row: ImportedRow, source: str, metric: str, record: StudyRecord, space: SearchSpace, scale: Scale, n_train: int
) -> ImportRecord:
    assignment, note = None, None
    if metric != record.objective:
        note = f"{metric} is not the study's {record.objective}"
    elif space.objective.against is not None:
        note = f"the study weighs {record.objective} against {space.objective.against}, which the row does not have"
    else:
        try:
            assignment = _assignment(_split(row.cells), space, scale, n_train)
        except _UnknownError as error:
            note = str(error)
    what = ", ".join(value for name, value in row.cells.items() if name not in _LABELLED)
    content = digest([row.cells, row.score, metric])
    return ImportRecord(
        owner=row.cells.get("owner", ""), what=what, metric=metric, score=row.score, assignment=assignment, note=note,
        source=source, line=row.line, content=content, imported_at=now(),
    )  # fmt: skip


def _split(cells: Mapping[str, str]) -> dict[str, str]:
    """Takes MMDetection's own names apart: ``SCNet_r50_fpn_1x (12 epochs)`` is SCNet with ResNet-50."""
    found = {name: re.sub(r"\s*\(.*\)\s*$", "", value) or value for name, value in cells.items()}
    zoo = _ZOO.search(found.get("model", ""))
    if zoo:
        found["model"] = found["model"][: zoo.start()]
        found.setdefault("backbone", _BACKBONES[zoo["backbone"]])
    return found


def _assignment(cells: Mapping[str, str], space: SearchSpace, scale: Scale, n_train: int) -> Assignment:
    """What the study would have called this row.

    Raises:
        _UnknownError: it would not have tried it, or the row does not say enough.
    """
    assignment = suggest(space, _Reading(cells))
    if forbidden(space, assignment):
        raise _UnknownError("the study forbids it")
    combination, _ = resolve(space, assignment, scale, n_train)
    for name, trained in _trained(combination).items():
        if name in cells and name not in space.search and not any(_same(cells[name], one, name) for one in trained):
            raise _UnknownError(f"{name} {cells[name]} is not the study's {' + '.join(map(show, trained)) or 'none'}")
    return assignment


def _trained(combination: Combination) -> dict[str, list[Scalar]]:
    return {
        "model": [combination.model.name],
        "backbone": [combination.backbone.name],
        "augmentation": [" + ".join(part.name for part in combination.augmentation) or "none"],
        "optimizer": [combination.optimizer.name],
        "schedule": [combination.schedule.name if combination.schedule else "constant"],
        "lr": [combination.optimizer.params["lr"]],
        "epochs": [combination.settings["epochs"]],
    }


class _Reading:
    """Answers the space's questions from a row."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self._cells = cells

    def _cell(self, name: str) -> str:
        last = name.rpartition(".")[2]
        found = self._cells.get(name, self._cells.get(last))
        if found is None:
            raise _UnknownError(f"it does not say {name}, which the study searches")
        return found

    def categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """The choice that the row names; of seeds, which no table has, the first."""
        if name == "seed" and name not in self._cells:
            return choices[0]
        text = self._cell(name)
        found = next((one for one in choices if _same(text, one, name)), None)
        if found is None and not any(one is None and text.lower() == "none" for one in choices):
            raise _UnknownError(f"{name} {text} is none of what the study searches")
        return found

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        """The row's number."""
        text = self._cell(name)
        try:
            number = float(text)
        except ValueError as error:
            raise _UnknownError(f"{name} {text} is no number") from error
        on_step = step is None or abs((number - low) / step - round((number - low) / step)) < 1e-9
        if not low <= number <= high or not on_step:
            raise _UnknownError(f"{name} {text} is outside of what the study searches")
        return number

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        """The row's whole number."""
        number = self.float(name, low, high, log, step)
        if number != round(number):
            raise _UnknownError(f"{name} {number:g} is no whole number")
        return round(number)


def _same(text: str, choice: Scalar, name: str) -> bool:
    """Whether a cell means a choice: its name or its title in the catalog, however they are spelled; or its number."""
    if isinstance(choice, int | float) and not isinstance(choice, bool):
        try:
            return math.isclose(float(text), choice, rel_tol=_ROUNDED)
        except ValueError:
            return False
    entry = PARTS[name].get(str(choice)) if name in PARTS else None
    names = [str(choice), *([entry.title] if entry else [])]
    return _plain(text) in [_plain(one) for one in names]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
