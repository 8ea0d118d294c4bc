"""``sweep plan``: what a start would do, and what it would cost."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sweeps.cli import options

if TYPE_CHECKING:
    from results.records import TrialRecord
    from runner.protocol import DataPaths, Scale
    from sweeps.campaign.document import Campaign
    from sweeps.space.schema import SearchSpace
    from sweeps.study.setup import Fit


@click.command(epilog="Example:  sweep plan search_spaces/models.yaml --data my_data.yaml --measure")
@options.space
@click.option("--measure", is_flag=True, help="First time a few iterations of each searched part, seconds each.")
@click.option("--workers", type=click.IntRange(1), help="As sweep start would have. [one a GPU, else one]")
@options.storage
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def plan(
    space_file: Path, data: Path | None, scale: str | None, overrides: tuple[str, ...], measure: bool,
    workers: int | None, storage: str, form: str,
) -> None:  # fmt: skip
    """Show what SPACE would try, and what that would cost.

    Combinations, trials, epochs, GPU hours, what is fixed, what is fitted to the data.

    GPU hours are foretold from trials of the database on the same data and machine, and from short measurements,
    which are kept in your cache folder. Once a study has trials, its forecast stands beside what they took. Of a
    campaign each stage's are shown: the mean over all that may win before it. Without --measure nothing is trained.
    """
    from runner.machine import device, gpus, slots
    from sweeps.campaign.document import is_campaign, read_campaign
    from sweeps.campaign.stages import Options, look_ahead, possible
    from sweeps.cli.data_report import progress
    from sweeps.forecast import calibration
    from sweeps.forecast.forecast import points
    from sweeps.forecast.outlook import outlook
    from sweeps.study.setup import fit, load_space, locate_data

    found = gpus()
    campaign = None
    if is_campaign(space_file):
        campaign, problems = read_campaign(space_file, overrides)
        seen = Options(data, scale, len(found))
        spaces = look_ahead(campaign, problems, seen)
        chosen, trained = seen.choose(spaces[0]), possible(campaign, spaces)
    else:
        space, chosen = load_space(space_file, overrides, data, scale, len(found))
        spaces = trained = [space]
        for note in space.notes:
            click.echo(note, err=True)
    places = slots(workers, found)
    machine = (device(), places[0].machine.threads)
    with tempfile.TemporaryDirectory() as folder:
        with progress() as tell:
            paths = locate_data(spaces[0].data, chosen, Path(folder), tell)
        fitted = fit(spaces[0], chosen, paths)
        trials = _trials(storage, chosen, paths)
        kept = calibration.Kept(chosen, paths, *machine)
        failed = None
        if measure:
            known = [*points(trials, *machine), *kept.points()]
            failed = calibration.measure(
                trained, chosen, paths, fitted.detections, places, known, kept, lambda line: click.echo(line, err=True)
            )
    measured = kept.points()
    outlooks = [
        outlook(space, chosen, paths, trials, measured, machine, failed, len(places), whole)
        for space, whole in zip(spaces, trained, strict=True)
    ]
    if campaign:
        _show_campaign(campaign, spaces, chosen, paths, outlooks, form)
    else:
        _show(spaces[0], chosen, paths, fitted, outlooks[0], form)


def _trials(storage: str, scale: Scale, data: DataPaths) -> list[TrialRecord]:
    """What the database knows of like trainings; it need not be there before the first start."""
    from results.errors import ResultsError
    from results.store import Store
    from sweeps.forecast.outlook import history

    named = click.get_current_context().get_parameter_source("storage") != ParameterSource.DEFAULT
    try:
        with Store.open(storage, readonly=True) as store:
            return history(store, scale, data)
    except ResultsError as error:
        if named:
            click.echo(f"nothing is known of earlier trials: {error}", err=True)
        return []


def _show(space: SearchSpace, scale: Scale, data: DataPaths, fitted: Fit, foretold: dict[str, Any], form: str) -> None:
    from rich.console import Console

    from sweeps.forecast.outlook import lines
    from sweeps.space.plan import plan as planned
    from sweeps.space.plan import plan_table

    document = planned(space, scale, data, fitted.adapted)
    document |= {"gpu_hours": foretold.pop("gpu_hours"), "forecast": foretold}
    if form == "json":
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    table = plan_table(document)
    for name, text in lines(document):
        table.add_row(name, text)
    Console(markup=False, emoji=False).print(table)


def _show_campaign(
    campaign: Campaign, spaces: list[SearchSpace], scale: Scale, data: DataPaths, outlooks: list[dict[str, Any]],
    form: str,
) -> None:  # fmt: skip
    """The stages of a campaign; what a later one starts from is not known yet."""
    from sweeps.campaign.plan import foretold, rows, stopping
    from sweeps.campaign.plan import plan as planned
    from sweeps.forecast.outlook import about, limited, lines
    from sweeps.show import print_table

    document = foretold(planned(campaign, spaces, scale, data), outlooks, campaign.total)
    if form == "json":
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    print_table(["stage", "combinations", "trials", "GPU hours", "from the winner", "searches"], rows(document))
    total = "trials until the budgets are spent" if document["trials"] is None else f"{document['trials']} trials"
    click.echo(f"campaign {campaign.name}: {len(spaces)} stages, {total}, scale {scale}")
    for stage in document["stages"]:
        if stage["forecast"]["limit"]:
            click.echo(f"GPU hours of {stage['stage']}: {about(stage)}{limited(stage)}")
    for name, text in lines({**document, "pruner": stopping(document)}):
        click.echo(f"{name}: {text}")
