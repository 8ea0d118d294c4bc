"""``sweep rank``: the weekly table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.source import Source


@click.command(epilog="Example:  sweep rank --by model --format markdown")
@click.option("--by", metavar="PART", help="Best row of each model, backbone, augmentation, optimizer, owner.")
@click.option("--all", "all_states", is_flag=True, help="Also trials that are not complete.")
@click.option(
    "--format", "form", type=click.Choice(["table", "markdown", "csv", "json", "html"]),
    default="table", show_default=True,
)  # fmt: skip
@options.source
def rank(by: str | None, all_states: bool, form: str, source: Source, study: str | None) -> None:
    """Rank the trials of a study: owner, what was tried, score to ten digits, difference to the baseline."""
    from results.ranking import rank as ranking
    from sweeps.show import print_ranking

    with source.reader() as store:
        record = options.choose_study(store, study)
        print_ranking(ranking(record, store.trials(record.name), by, all_states), form, sys.stdout)
