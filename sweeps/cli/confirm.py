"""``sweep confirm``: the best of the ranking, trained again and looked at where nobody has looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from sweeps.cli import options

if TYPE_CHECKING:
    from results.records import StudyRecord
    from sweeps.access.source import Source


@click.command(epilog="Example:  sweep confirm --top 3 --seeds 3    or:  sweep confirm --top 2 --seeds 5 --format json")
@click.option("--top", type=click.IntRange(1, 1000), default=3, show_default=True, help="Combinations of the ranking.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="Further seeds of each.")
@click.option("--workers", type=click.IntRange(1), help="Trainings at a time; not with --server. [one a GPU, else one]")
@click.option("--owner", help="Who runs it, as in the table; not with --server. [your user name]")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def confirm(
    top: int, seeds: int, workers: int | None, owner: str | None, form: str, source: Source, study: str | None
) -> int:
    """Train the best of a study again, with further seeds.

    So is its baseline; then winner and baseline are scored on the images that `holdout:` of the data file keeps. These
    images are looked at once: a second call shows what was found, unless the winner has changed. The baseline is
    the study's first combination. Nothing new is proposed and the budget of trials is left alone. Ctrl-C ends politely,
    the same line goes on.

    --study may name a campaign: its best combination and the first one of its first stage get the seeds.

    With --server the team's workers train. The images held out are scored here, with checkpoints from the server: run
    it on the machine that the study was submitted from.
    """
    from results.ranking.stages import campaign_of
    from runner.machine import gpus
    from sweeps.access.remote import Remote
    from sweeps.access.watch import PATIENCE
    from sweeps.campaign.finals import finals
    from sweeps.campaign.show import campaigns, print_stages, stages_of
    from sweeps.cli.start import command_line, user_name
    from sweeps.confirm.confirm import Confirm, Confirmation, confirm_there
    from sweeps.run.run import again, attach_or_run

    if source.server and (workers or owner):
        raise click.UsageError("--workers and --owner belong to a confirmation without --server: its workers train")

    def run(record: StudyRecord, what: Confirmation) -> int:
        if source.server:
            with Remote(source.server, source.token(), patience=PATIENCE) as server:
                return confirm_there(server, record, what, tuple(gpus()))
        return attach_or_run(
            again(record, source.storage, owner or user_name(), workers, tuple(gpus()), command_line(), what)
        )

    with source.reader() as store:
        studies = store.studies()
        if study not in campaigns(studies) or any(one.name == study for one in studies):
            record, sides = options.choose_study(store, study), []
            if study is None and (campaign := campaign_of(record.name)):
                whole = f"sweep confirm --study {campaign}{source.option}"
                click.echo(
                    f"study {record.name} is a stage of campaign {campaign}; confirm that with: {whole}", err=True
                )
        else:
            sides = finals(store, str(study), seeds)
    if not sides:
        return run(record, Confirm(top, seeds, form))
    if click.get_current_context().get_parameter_source("top") != ParameterSource.DEFAULT:
        raise click.UsageError("--top belongs to a study: of a campaign the best and the first are confirmed")
    for side in sides:
        if code := run(*side):
            return code
    with source.reader() as store:
        print_stages(store, stages_of(store, str(study)), form)
    return 0
