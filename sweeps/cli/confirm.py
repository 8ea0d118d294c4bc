"""``sweep confirm``: the best of the ranking, trained again and looked at where nobody has looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.source import Source


@click.command(epilog="Example:  sweep confirm --top 3 --seeds 3    or:  sweep confirm --top 2 --seeds 5 --format json")
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Combinations of the ranking.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Further seeds of each.")
@click.option("--workers", type=click.IntRange(1), help="Trainings at a time. [one a GPU, else one]")
@click.option("--owner", help="Who runs it, as in the table. [your user name]")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def confirm(
    top: int, seeds: int, workers: int | None, owner: str | None, form: str, source: Source, study: str | None
) -> int:
    """Train the best combinations of a study, and its baseline, with further seeds; then score winner and baseline
    on the images that `holdout:` of the data file keeps.

    These images are looked at once: a second call shows what was found, unless the winner has changed. The baseline is
    the study's first combination. Nothing new is proposed and the budget of trials is left alone. Ctrl-C ends politely,
    the same line goes on.
    """
    from runner.errors import UserError
    from runner.machine import gpus
    from sweeps.cli.start import command_line, user_name
    from sweeps.confirm import Confirm
    from sweeps.run import again, attach_or_run

    if source.server:
        raise UserError("sweep confirm works on the database itself: run it where that lies, while no server has it")
    with source.reader() as store:
        record = options.choose_study(store, study)
    plan = again(
        record, source.storage, owner or user_name(), workers, tuple(gpus()), command_line(), Confirm(top, seeds, form)
    )
    return attach_or_run(plan)
