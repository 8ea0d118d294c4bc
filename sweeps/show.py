"""What several commands print: the ranking, on a terminal as wide as it is, in a log 100 columns wide."""

from __future__ import annotations

import shutil
from typing import TextIO, cast

import click

from results.ranking import Ranking
from results.tables import Format, render


def print_ranking(ranking: Ranking, form: str, stream: TextIO) -> None:
    """Writes a ranking in one of the formats."""
    terminal = stream.isatty()
    width = shutil.get_terminal_size().columns if terminal else 100
    click.echo(render(ranking, cast(Format, form), width, color=terminal).rstrip("\n"), file=stream)
