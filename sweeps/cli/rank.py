"""``sweep rank``: the weekly table."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source


@click.command(epilog="Example:  sweep rank --by model --format markdown")
@click.option("--by", metavar="PART", help="Best row of each model, backbone, augmentation, optimizer, owner.")
@click.option("--all", "all_states", is_flag=True, help="Also trials that are not complete.")
@click.option("--runs", is_flag=True, help="A line for every training, also where combinations were repeated.")
@options.seed_noise
@click.option(
    "--format", "form", type=click.Choice(["table", "markdown", "csv", "json", "html"]),
    default="table", show_default=True,
)  # fmt: skip
@options.source
def rank(
    by: str | None,
    all_states: bool,
    runs: bool,
    seed_noise: float | None,
    form: str,
    source: Source,
    study: str | None,
) -> None:
    """Rank the trials of a study, and say how sure that is.

    Owner, what was tried, score, difference to the baseline.
    """
    from sweeps.show import judged, print_ranking

    with source.reader() as store:
        record = options.choose_study(store, study)
        found = judged(store, record, by, all_states, seed_noise)
        print_ranking(replace(found, runs=runs, option=source.option), form, sys.stdout)
