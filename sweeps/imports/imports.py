"""Results from elsewhere, put beside a study's own: what they say of its search, and who may learn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click
from pydantic import Field, ValidationError

from results.importing import read_table
from results.records import ImportRecord, StudyRecord, now
from runner.errors import UserError
from runner.protocol import DataPaths, Line, Message, Name, digest
from sweeps.imports.cells import LABELLED, apart
from sweeps.imports.rows import RowReader, UnknownError, words
from sweeps.space.schema import SamplerKind, SearchSpace
from sweeps.space.walk import planned

Keep = Callable[[Sequence[ImportRecord]], int]
_MOST_ROWS = 100_000
_ASSUMED = "assumed: "


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


def informing(found: Imported, study: str) -> str:
    """How many rows of a table the sampler learns from, for people."""
    fitting = sum(row.assignment is not None for row in found.rows)
    told = f"{fitting} fit what the study searches" if deaf(found, study) else f"{fitting} inform the sampler"
    kept = f"{found.new} of them new and kept beside study {study}"
    kept = "nothing was kept (--dry-run)" if found.new is None else kept
    return f"rows: {len(found.rows)}; {told}; {kept}"


def announce(found: Imported, table: ImportedTable, study: str, option: str = "") -> None:
    """Tells on stderr what became of a table that a study begins with; `option` as `Source` has it."""
    how = f"how each was read: sweep import CSV --metric {table.metric} --study {study} --dry-run{option}"
    click.echo(f"{informing(found, study)}; {how}", err=True)
    if line := deaf(found, study):
        click.echo(line, err=True)


def deaf(found: Imported, study: str) -> str | None:
    """That the study's sampler learns from none of them, for people; None where it does."""
    from sweeps.study.kinds import LEARNING  # with optuna: not for who only asks a server

    if found.sampler in LEARNING:
        return None
    return f"the sampler of study {study} is {found.sampler}: it learns from no score, imported or not"


def understood(table: ImportedTable, record: StudyRecord, space: SearchSpace) -> list[ImportRecord]:
    """The rows of a table, each with what it says of the study's search, or why it says nothing.

    Args:
        table: its scores are of its metric.
        record: the study.
        space: its space.
    """
    reader = RowReader(space, record.scale, DataPaths.model_validate(record.data).n_train)
    return [_row(row, table, record, space, reader) for row in table.rows]


def said(row: ImportRecord) -> list[str]:
    """What a row itself says of the study's search; the rest of its assignment was assumed, as its note tells."""
    assumed = (row.note or "").removeprefix(_ASSUMED).split(", ")
    return [one for one in words(row.assignment or {}) if one not in assumed]


def _row(
    row: ImportedRow, table: ImportedTable, record: StudyRecord, space: SearchSpace, reader: RowReader
) -> ImportRecord:
    assignment, note = None, None
    if table.metric != record.objective:
        note = f"{table.metric} is not the study's {record.objective}"
    elif space.objective.against is not None:
        note = f"the study weighs {record.objective} against {space.objective.against}, which the row does not have"
    else:
        try:
            assignment, assumed = reader.read(apart(row.cells))
            note = _ASSUMED + ", ".join(assumed) if assumed else None
        except UnknownError as error:
            note = str(error)
    what = ", ".join(value for name, value in row.cells.items() if name not in LABELLED)
    content = digest([row.cells, row.score, table.metric])
    return ImportRecord(
        owner=row.cells.get("owner", ""), what=what, metric=table.metric, score=row.score, assignment=assignment,
        note=note, source=table.source, line=row.line, content=content, imported_at=now(),
    )  # fmt: skip
