"""``sweep import``: results that a team had before, beside a study's own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source
    from sweeps.imports.imports import Imported

_WIDE = 48  # characters of what a row says, beside what becomes of it


def _metric(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Any name of one's own, but no known one in another spelling."""
    from results.ranking.rows import METRICS

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
    those whose --metric is the study's objective: say so only if they were measured on the same validation images. What
    a row leaves out is assumed to be MMDetection's default, and its line says so; give what holds for the whole table a
    column, too. What the study does not try is kept, with the reason. A file with a bad row is refused as a whole.
    """
    from results.errors import NotFoundError
    from runner.errors import UserError
    from sweeps.imports.imports import deaf, read, taken
    from sweeps.study.setup import reopened

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
    _show(found, record.name, form)
    if line := deaf(found, record.name):
        click.echo(line, err=True)


def _show(found: Imported, study: str, form: str) -> None:
    from sweeps.imports.imports import deaf, informing, said
    from sweeps.show import print_table

    rows = found.rows
    if form == "json":
        document = {"study": study, "imported": found.new, "rows": [row.document() for row in rows]}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    learns, where = ("fits", "the search") if deaf(found, study) else ("learns", "the sampler")
    told = [f"kept only: {one.note}" if one.assignment is None else f"{learns}: {', '.join(said(one))}" for one in rows]
    print_table(
        ("line", "owner", "score", "tried", where),
        [
            (row.line, row.owner, f"{row.score:.10f}", _short(row.what), text)
            for row, text in zip(rows, told, strict=True)
        ],
    )
    assumed: dict[str, list[str]] = {}
    for row in rows:
        if row.assignment is not None and row.note:
            assumed.setdefault(row.note, []).append(str(row.line))
    for note, lines in assumed.items():
        click.echo(f"line{'s' * (len(lines) > 1)} {_short(', '.join(lines))}: {note}")
    click.echo(informing(found, study))


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"
