"""What several commands print: tables, on a terminal as wide as it is, in a log 100 columns wide."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TextIO, cast

import click

from results.ranking import Ranking
from results.tables import Format, render


def print_ranking(ranking: Ranking, form: str, stream: TextIO) -> None:
    """Writes a ranking in one of the formats."""
    terminal = stream.isatty()
    width = shutil.get_terminal_size().columns if terminal else 100
    click.echo(render(ranking, cast(Format, form), width, color=terminal).rstrip("\n"), file=stream)


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes aligned columns to stdout; the last one goes on in the next line where it is too long."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from results.columns import clean

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, name in enumerate(head):
        table.add_column(name, no_wrap=number + 1 < len(head), overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(str(cell))) for cell in row))
    console.print(table)
