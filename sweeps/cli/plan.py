"""``sweep plan``: what a start would do, and what it would cost."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from sweeps.cli import options

if TYPE_CHECKING:
    from results.records import TrialRecord
    from runner.protocol import DataPaths, Scale


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
    which are kept in your cache folder. Once a study has trials, its forecast stands beside what they took. Without
    --measure nothing is trained.
    """
    from runner.machine import device, gpus, slots
    from sweeps import calibration
    from sweeps.campaign.document import is_campaign
    from sweeps.cli.data_report import progress
    from sweeps.forecast import points
    from sweeps.outlook import lines, outlook
    from sweeps.session import fit, load_space, locate_data
    from sweeps.space.plan import plan as planned
    from sweeps.space.plan import plan_table

    if is_campaign(space_file):
        if measure:
            raise click.UsageError("--measure takes a search space; a campaign's stages are not known yet")
        _campaign(space_file, data, scale, overrides, form)
        return
    found = gpus()
    space, chosen = load_space(space_file, overrides, data, scale, len(found))
    for note in space.notes:
        click.echo(note, err=True)
    places = slots(workers, found)
    machine = (device(), places[0].machine.threads)
    with tempfile.TemporaryDirectory() as folder:
        with progress() as tell:
            paths = locate_data(space.data, chosen, Path(folder), tell)
        fitted = fit(space, chosen, paths)
        trials = _trials(storage, chosen, paths)
        kept = calibration.Kept(chosen, paths, *machine)
        failed = None
        if measure:
            known = [*points(trials, *machine), *kept.points()]
            failed = calibration.measure(
                space, chosen, paths, fitted.detections, places, known, kept, lambda line: click.echo(line, err=True)
            )
    foretold = outlook(space, chosen, paths, trials, kept.points(), machine, failed)
    document = planned(space, chosen, paths, fitted.adapted)
    document |= {"gpu_hours": foretold.pop("gpu_hours"), "forecast": foretold}
    if form == "json":
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    from rich.console import Console

    table = plan_table(document)
    for name, text in lines(document):
        table.add_row(name, text)
    Console(markup=False, emoji=False).print(table)


def _trials(storage: str, scale: Scale, data: DataPaths) -> list[TrialRecord]:
    """What the database knows of like trainings; it need not be there before the first start."""
    from results.errors import ResultsError
    from results.store import Store
    from sweeps.outlook import history

    named = click.get_current_context().get_parameter_source("storage") != ParameterSource.DEFAULT
    try:
        with Store.open(storage, readonly=True) as store:
            return history(store, scale, data)
    except ResultsError as error:
        if named:
            click.echo(f"nothing is known of earlier trials: {error}", err=True)
        return []


def _campaign(path: Path, data: Path | None, scale: str | None, overrides: tuple[str, ...], form: str) -> None:
    """The stages of a campaign; what a later one starts from is not known yet."""
    from runner.machine import gpus
    from sweeps.campaign.document import read_campaign
    from sweeps.campaign.plan import plan as planned
    from sweeps.campaign.plan import rows
    from sweeps.campaign.stages import Options, look_ahead
    from sweeps.cli.data_report import progress
    from sweeps.session import locate_data
    from sweeps.show import print_table

    campaign, problems = read_campaign(path, overrides)
    seen = Options(data, scale, len(gpus()))
    spaces = look_ahead(campaign, problems, seen)
    chosen = seen.choose(spaces[0])
    with tempfile.TemporaryDirectory() as folder, progress() as tell:
        paths = locate_data(spaces[0].data, chosen, Path(folder), tell)
    document = planned(campaign, spaces, chosen, paths)
    if form == "json":
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    print_table(["stage", "combinations", "trials", "from the winner", "searches"], rows(document))
    total = "trials until the budgets are spent" if document["trials"] is None else f"{document['trials']} trials"
    click.echo(f"campaign {campaign.name}: {len(spaces)} stages, {total}, scale {chosen}")
