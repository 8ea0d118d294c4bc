"""What several commands print: tables, on a terminal as wide as it is, in a log 100 columns wide."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO, cast

import click

from results.ranking.confirmation import confirmed
from results.ranking.ranking import rank
from results.ranking.rows import Ranking
from results.ranking.standings import judge
from results.reader import Reader
from results.records import StudyRecord
from results.tables.tables import Format, render

if TYPE_CHECKING:
    from sweeps.access.remote import Remote

_LEAST = 12  # terminal columns that a column of words keeps, or fewer where it needs no more


def judged(
    reader: Reader | Remote,
    record: StudyRecord,
    by: str | None = None,
    all_states: bool = False,
    seed_noise: float | None = None,
) -> Ranking:
    """The ranking of a study and how sure it is (`results.ranking.ranking.rank`, `results.ranking.standings.judge`)."""
    trials = reader.trials(record.name)
    standings = judge(record, trials, lambda numbers: reader.evidence(record.name, numbers), seed_noise)
    best = confirmed(trials, record.confirmation)
    scores = reader.scores(record.name) if any(trial.state == "pruned" for trial in trials) else None
    return replace(
        rank(record, trials, by, all_states, standings, scores),
        imported=tuple(reader.imports(record.name)),
        confirmed=best.combination if best else None,
    )


def print_ranking(ranking: Ranking, form: str, stream: TextIO) -> None:
    """Writes a ranking in one of the formats."""
    terminal = stream.isatty()
    width = shutil.get_terminal_size().columns if terminal else 100
    click.echo(render(ranking, cast(Format, form), width, color=terminal).rstrip("\n"), file=stream)


def print_standing(reader: Reader | Remote, study: str, option: str = "") -> bool:
    """Writes the ranking of a study as it stands to stdout; whether there is any. `option`: as `Source` has it."""
    record = reader.study(study)
    assert record
    ranking = judged(reader, record)
    if ranking.rows:
        print_ranking(replace(ranking, option=option), "table", sys.stdout)
    return bool(ranking.rows)


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes aligned columns to stdout; the last one goes on in the next line where it is too long.

    On a narrow terminal every column of words does; numbers stay whole however narrow it is.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from results.text import clean

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    columns = list(zip(head, *([clean(str(cell)) for cell in row] for row in rows), strict=True))
    words = [any(map(_has_words, column[1:])) for column in columns]
    widths = [max(map(cell_len, column)) for column in columns]
    least = [min(wide, _LEAST) if word else wide for wide, word in zip(widths, words, strict=True)]
    gaps = len(columns) - 1
    narrow = sum(widths[:-1]) + least[-1] + 3 * gaps > console.width
    tight = sum(least) + 3 * gaps > console.width
    console.width = max(console.width, sum(least) + gaps)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0 if tight else 1))
    for number, column in enumerate(columns, 1):
        fold = words[number - 1] and (narrow or number == len(columns))
        table.add_column(Text(column[0]), no_wrap=not fold, overflow="fold")
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*map(Text, row))
    console.print(table)


def _has_words(cell: str) -> bool:
    """Whether a cell is more than numbers such as ``3 of 4`` and ``-0.01 to +0.02``."""
    return any(letter.isalpha() for letter in re.sub(r"\b(of|to)\b", "", cell))
