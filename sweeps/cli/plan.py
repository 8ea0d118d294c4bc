"""``sweep plan``: what a start would do."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from sweeps.cli import options


@click.command(epilog="Example:  sweep plan search_spaces/models.yaml --data my_data.yaml --set budget.trials=6")
@options.space
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def plan(space_file: Path, data: Path | None, scale: str | None, overrides: tuple[str, ...], form: str) -> None:
    """Show what SPACE would try: combinations, trials, epochs, what is fixed and what is fitted to the data.

    The data are read, nothing is trained and nothing is kept.
    """
    from runner.machine import gpus
    from sweeps.campaign.document import is_campaign
    from sweeps.cli.data_report import progress
    from sweeps.session import fit, load_space, locate_data
    from sweeps.space.plan import plan as planned
    from sweeps.space.plan import plan_table

    if is_campaign(space_file):
        _campaign(space_file, data, scale, overrides, form)
        return
    space, chosen = load_space(space_file, overrides, data, scale, len(gpus()))
    for note in space.notes:
        click.echo(note, err=True)
    with tempfile.TemporaryDirectory() as folder, progress() as tell:
        paths = locate_data(space.data, chosen, Path(folder), tell)
    document = planned(space, chosen, paths, fit(space, chosen, paths).adapted)
    if form == "json":
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    from rich.console import Console

    Console().print(plan_table(document))


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
