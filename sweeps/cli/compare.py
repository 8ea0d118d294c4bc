"""``sweep compare``: two trials or combinations against each other."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from results.records import StudyRecord
    from sweeps.access.source import Source


@click.command(epilog="Example:  sweep compare 12 3    or, by their names:  sweep compare 0a1b2c3d 9f8e7d6c")
@click.argument("a")
@click.argument("b")
@options.seed_noise
@click.option("--runs", is_flag=True, help="A number is that trial alone, without the other seeds of its combination.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.source
def compare(a: str, b: str, seed_noise: float | None, runs: bool, form: str, source: Source, study: str | None) -> None:
    """Compare two combinations, A with B, each with all its seeds.

    Each is named by a trial's number or by its eight hex digits. Gives the paired difference with its interval, by size
    of the objects, and the images that moved it most.
    """
    from results.ranking import tried
    from results.ranking.compare import compare as compared
    from results.tables.comparisons import show

    with source.reader() as store:
        record = options.choose_study(store, study)
        trials = store.trials(record.name)
        evidence = partial(store.evidence, record.name)
        found = compared(record, trials, evidence, (a, b), seed_noise, runs)
    files = _files(record)
    if form == "json":
        document = found.document()
        for image in document["images"]:
            image["file"] = files.get(image["id"])
        click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
        return
    by_number = {trial.number: trial for trial in trials}
    names = [name for name in tried.varied(trials) if name != "seed"]
    labels = [tried.label(by_number[one.trials[0]], names) for one in (found.a, found.b)]
    click.echo(show(found, (labels[0], labels[1]), files))


def _files(record: StudyRecord) -> dict[int, str]:
    """Names of the validation images by id; empty where the label file is not on this machine."""
    try:
        labels = json.loads(Path(record.data.get("val_annotations") or "").read_text(encoding="utf-8"))
        return {int(image["id"]): str(image["file_name"]) for image in labels["images"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
