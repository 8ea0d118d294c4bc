"""The weekly table on a terminal: it fits, it aligns, and no score is cut."""

from __future__ import annotations

import io
from typing import Literal, cast

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from results.ranking.rows import Ranking
from results.tables.captions import captions
from results.tables.columns import Column, weekly
from results.text import clean

FOLDED = {"owner": 12, "tried": 16, "state": 16}  # columns that go on in the next line, and their least width


def terminal(ranking: Ranking, width: int, color: bool) -> str:
    """The table and its captions; a terminal too narrow for all columns shows the main ones."""
    columns = _fitting(ranking, width)
    needed = _needed(columns, ranking, gap=1)
    console = Console(
        file=io.StringIO(),
        width=max(width, needed),  # a score is never cut, however narrow the terminal
        force_terminal=color,
        color_system="standard" if color else None,
    )
    if ranking.rows:
        gap = 2 if _needed(columns, ranking, gap=2) <= width else 1
        console.print(_table(ranking, columns, gap))
    for line in captions(ranking):
        console.print(Text(clean(line), style="dim"))
    text = cast("io.StringIO", console.file).getvalue()
    return "\n".join(line.rstrip() for line in text.splitlines())


def _table(ranking: Ranking, columns: list[Column], gap: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for column in columns:
        fold = column.title in FOLDED
        justify: Literal["right", "left"] = "right" if column.right else "left"
        table.add_column(Text(column.title), justify=justify, no_wrap=not fold, overflow="fold")
    for row in ranking.rows:
        cells = [Text(column.value(row)) for column in columns]
        table.add_row(*cells, style="bold green" if row.rank == 1 else "")
    return table


def _fitting(ranking: Ranking, width: int) -> list[Column]:
    """The columns that fit beside a readable `tried`."""
    columns = weekly(ranking)
    while _needed(columns, ranking, gap=1) > width:
        spare = [column for column in columns if column.keep is not None]
        if not spare:
            break
        columns.remove(min(spare, key=lambda column: column.keep or 0))
    return columns


def _needed(columns: list[Column], ranking: Ranking, gap: int) -> int:
    """Fewest terminal columns in which these columns are readable."""
    widths = [_cell_width(column, ranking) for column in columns]
    least = [min(wide, FOLDED.get(column.title, wide)) for column, wide in zip(columns, widths, strict=True)]
    return sum(least) + gap * (len(columns) - 1)


def _cell_width(column: Column, ranking: Ranking) -> int:
    return max(cell_len(text) for text in [column.title, *(column.value(row) for row in ranking.rows)])
