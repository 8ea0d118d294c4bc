"""``sweep report``: which choice matters, how choices go together, and pictures of it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source
    from sweeps.report import Report

_SHOWN = 10  # interactions in the table; JSON and the page have all


@click.command(epilog="Example:  sweep report --out report.html    or, as data:  sweep report --format json")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="HTML file to write, pictures included.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def report(out: Path | None, form: str, source: Source, study: str | None) -> None:
    """Show which choices of a study mattered most.

    The mean of every value, and which choices go together. Importance is by PED-ANOVA over the combinations that were
    tried, each with the mean of its seeds. The page adds pictures, among them the score against the size of the model
    and the strength of its augmentations.
    """
    from results.files import write_atomically
    from sweeps.report import report as reported
    from sweeps.study.setup import reopened

    with source.reader() as store:
        record = options.choose_study(store, study)
        trials = store.trials(record.name)
    with tempfile.TemporaryDirectory() as folder:
        space = reopened(record, Path(folder), own=source.server is None)
    found = reported(record, trials, space)
    if form == "json":
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        _print(found)
    if out:
        from sweeps.report.page import page

        write_atomically(out, page(found))
        click.echo(str(out), err=form == "json")


def _print(found: Report) -> None:
    from sweeps.report.effects import figure
    from sweeps.show import print_table

    if found.importance:
        rows = [(f"{one.share:.3f}", f"{one.p:.3f}", one.parameter) for one in found.importance]
        print_table(("importance", "p", "parameter"), rows)
        click.echo()
    print_table(
        ("combinations", "stopped", f"mean {found.record.objective}", "best", "parameter", "value"),
        [
            (one.combinations, one.stopped, figure(one.mean), figure(one.best), one.parameter, one.value)
            for one in found.effects
        ],
    )
    pairs = found.interactions[:_SHOWN]
    if pairs:
        click.echo()
        rows = [(f"{i.share:.3f}", "-" if i.p is None else f"{i.p:.3f}", f"{i.one} x {i.other}") for i in pairs]
        print_table(("interaction", "p", "parameters"), rows)
    click.echo()
    for one in found.trends:
        click.echo(f"score against {one.quantity}: rank correlation {one.correlation:+.2f}, p {one.p:.3f}")
    for line in found.notes:
        click.echo(line)
