"""``sweep best``: the winner's config, checkpoint or parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from results.reader import Reader
from results.records import StudyRecord, TrialRecord
from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.remote import Remote
    from sweeps.access.source import Source

_RUN = "python $(python -c 'import mmdet, os; print(os.path.dirname(mmdet.__file__))')/.mim/tools/train.py"


@click.command(epilog="Example:  sweep best --export config --out best.py")
@click.option("--export", type=click.Choice(["config", "checkpoint", "params"]), required=True, help="What of it.")
@click.option("--trial", type=int, metavar="N", help="Another trial than the best.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write. [best_STUDY.py or .pth; params: stdout]")
@click.option("--standalone", is_flag=True, help="Config without our plugins; its header says what changes.")
@options.source
def best(export: str, trial: int | None, out: Path | None, standalone: bool, source: Source, study: str | None) -> None:
    """Export the best trial as config, checkpoint or parameters.

    Prints the path of what was written. With the name of a campaign as --study it is the best of all its stages.
    """
    from results.export import params_document
    from results.files import write_atomically
    from results.ranking.confirmation import pick
    from sweeps.access.exports import checkpoint
    from sweeps.campaign.show import winning

    with source.reader() as store:
        named, leading = winning(store, study) if study else (None, None)
        record = options.choose_study(store, named)
        seeds = pick(store.trials(record.name), trial, record.confirmation, leading)
        chosen = seeds[0]
        if export == "params":
            text = json.dumps(params_document(record, chosen), ensure_ascii=False, indent=2)
            if out is None:
                click.echo(text)
                return
            write_atomically(out, text + "\n")
        elif export == "checkpoint":
            out = out or Path(f"best_{record.name}.pth")
            written = checkpoint(source.storage, store, record, [one.number for one in seeds], out)
            if written != chosen.number:
                lost = f"the checkpoint of trial {chosen.number}, the best seed, is gone"
                click.echo(f"{lost}: this is that of trial {written}, another seed of the same combination", err=True)
        else:
            out = out or Path(f"best_{record.name}.py")
            write_atomically(out, _config(store, record, chosen, out, standalone))
    click.echo(out)


def _config(store: Reader | Remote, record: StudyRecord, trial: TrialRecord, out: Path, standalone: bool) -> str:
    from results.errors import ResultsError
    from results.export import config_text

    command = f"{'PYTHONPATH=FOLDER ' if record.identity.get('plugins') else ''}{_RUN} {out}"
    config = store.config(record.name, trial.number)
    if config is None:
        raise ResultsError(f"trial {trial.number} has no config in the database")
    if not standalone:
        return config_text(record, trial, config, command)
    from runner.standalone import DIFFERENCES, without_plugins

    return config_text(record, trial, without_plugins(config), command, notes=DIFFERENCES)
