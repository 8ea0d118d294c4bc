"""``sweep campaign``: which stage gained what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source


@click.command(epilog="Example:  sweep campaign --study particles --format json")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def campaign(form: str, source: Source, study: str | None) -> None:
    """Show which stage of a campaign gained what.

    Trials, best combination, its score, and what it gained over the best before. --study names the campaign. Each stage
    is a study NAME.STAGE of its own, for `sweep rank --study NAME.STAGE`.
    """
    from sweeps.campaign.show import chosen, print_stages, stages_of

    with source.reader() as reader:
        print_stages(reader, stages_of(reader, chosen(reader, study)), form)
