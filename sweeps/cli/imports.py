"""``sweep import``: results that a team had before, beside a study's own."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from results.records import ImportRecord
    from sweeps.source import Source


def _metric(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Any name of one's own, but no known one in another spelling."""
    from results.rows import METRICS

    known = next((name for name in METRICS if name.lower() == value.lower()), value)
    if known != value:
        raise click.BadParameter(f"there is no figure {value}; did you mean {known}?")
    return value


@click.command(
    "import", epilog="Example:  sweep import week2.csv --metric segm_mAP --dry-run    (then without --dry-run)"
)
@click.argument("file", metavar="CSV", type=click.Path(path_type=Path))
@click.option(
    "--metric", required=True, callback=_metric, help="What the scores are, e.g. segm_mAP, or a name of your own."
)
@click.option("--dry-run", is_flag=True, help="Show how each row is understood; keep nothing.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def import_(file: Path, metric: str, dry_run: bool, form: str, source: Source, study: str | None) -> None:
    """Put the rows of a CSV table beside a study's trials.

    Headings are names of what a space chooses (model, backbone, augmentation, optimizer, lr, ...), owner and score; in
    Korean as well. `sweep rank` shows the rows apart, without a place. A sampler that learns from scores learns from
    those whose --metric is the study's objective and that name everything the study searches: say so only if they were
    measured on the same validation images. A file with a bad row is refused as a whole.
    """
    from results.errors import NotFoundError
    from runner.errors import UserError
    from sweeps.imports import read, taken
    from sweeps.session import reopened
    from sweeps.study.kinds import LEARNING

    table = read(file, metric, keep=not dry_run)
    with source.reader() as store:
        record = options.choose_study(store, study)
    with tempfile.TemporaryDirectory() as folder:
        space = None if source.server else reopened(record, Path(folder))
    if dry_run and space:
        found = taken(table, record, space)
    else:
        with source.owner(record.name) as owner:
            try:
                found = owner.bring_in(record.name, table)
            except NotFoundError as error:
                raise UserError(f"the process that has the database does not serve study {record.name}") from error
    _show(found.rows, found.new, record.name, form, found.sampler in LEARNING)
    if found.sampler not in LEARNING:
        line = f"the sampler of study {record.name} is {found.sampler}: it learns from no score, imported or not"
        click.echo(line, err=True)


def _show(rows: list[ImportRecord], new: int | None, study: str, form: str, learns: bool) -> None:
    from sweeps.show import print_table

    if form == "json":
        document = {"study": study, "imported": new, "rows": [row.document() for row in rows]}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    how = [
        f"{'learns' if learns else 'fits'}: "
        + ", ".join(f"{name} {value}" for name, value in row.assignment.items() if name != "seed")
        if row.assignment is not None
        else f"kept only: {row.note}"
        for row in rows
    ]
    print_table(
        ("line", "owner", "score", "tried", "the sampler" if learns else "the search"),
        [(row.line, row.owner, f"{row.score:.10f}", row.what, text) for row, text in zip(rows, how, strict=True)],
    )
    fitting = Counter(row.assignment is not None for row in rows)[True]
    told = f"{fitting} inform the sampler" if learns else f"{fitting} fit what the study searches"
    kept = "nothing was kept (--dry-run)" if new is None else f"{new} of them new and kept beside study {study}"
    click.echo(f"rows: {len(rows)}; {told}; {kept}")
