"""``sweep start``: the study server, its workers, and a view of both, in one process."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source


@click.command(epilog="Example:  sweep start search_spaces/models.yaml --data my_data.yaml --set fixed.epochs=8")
@options.space
@click.option("--workers", type=click.IntRange(1), help="Trainings at a time. [one a GPU, else one]")
@click.option(
    "--work-dir", type=click.Path(path_type=Path), default=Path("work_dirs"), show_default=True,
    help="Folder of configs, logs and checkpoints.",
)  # fmt: skip
@click.option("--owner", help="Who runs it, as in the table. [your user name]")
@click.option(
    "--pool", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="Where workers run: this machine, or a Ray cluster.",
)  # fmt: skip
@click.option("--address", metavar="HOST:PORT", help="Head of the Ray cluster. [RAY_ADDRESS, else a Ray of its own]")
@click.option(
    "--gpus-per-trial",
    type=click.FloatRange(0, 1),
    help="Share of a GPU for each trial on Ray. [1 where there are any]",
)
@click.option(
    "--data-root", type=click.Path(path_type=Path), help="Folder of the images on the nodes of the Ray cluster."
)
@click.option(
    "--import", "imported", metavar="CSV", type=click.Path(path_type=Path),
    help="A table of earlier results, taken in before anything is proposed; see sweep import.",
)  # fmt: skip
@click.option("--metric", help="What its scores are, e.g. segm_mAP.")
@options.source
def start(
    space_file: Path,
    data: Path | None,
    scale: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    work_dir: Path,
    owner: str | None,
    pool: str,
    address: str | None,
    gpus_per_trial: float | None,
    data_root: Path | None,
    imported: Path | None,
    metric: str | None,
    source: Source,
    study: str | None,
) -> int:
    """Propose, train and rank until the budget of SPACE is spent.

    Started again, it goes on. Ctrl-C ends politely: what trains is handed back and goes on from its last epoch at the
    next start. A second start of a running study watches it. With --server the study goes to a team's server, whose
    workers train it; Ctrl-C ends the watching only. A campaign runs its stages one after the other.
    """
    from runner.machine import gpus
    from sweeps.campaign.document import is_campaign, read_campaign
    from sweeps.campaign.stages import Options, look_ahead
    from sweeps.cli.data_report import progress
    from sweeps.imports.imports import read
    from sweeps.study.setup import load_space, locate_data

    if pool == "local" and (address or data_root or gpus_per_trial is not None):
        raise click.UsageError("--address, --gpus-per-trial and --data-root belong to --pool ray")
    if pool == "ray" and source.server:
        raise click.UsageError("--pool ray belongs to a start without --server")
    if (imported is None) != (metric is None):
        raise click.UsageError("--import and --metric belong together: --import week2.csv --metric segm_mAP")
    stages = is_campaign(space_file)
    if imported and stages:
        raise click.UsageError("--import belongs to a study; for a stage: sweep import CSV --metric NAME --study STAGE")
    table = read(imported, metric, keep=True) if imported and metric else None
    found = gpus()
    count, where = len(found), "here"
    if pool == "ray":
        from runner.pool.cluster import gpus_of

        count, where = 0 if gpus_per_trial == 0 else gpus_of(address), "in the Ray cluster"
    if study:
        overrides = (*overrides, f"{'campaign' if stages else 'study'}={study}")
    seen = Options(data, scale, count)
    if stages:
        campaign, problems = read_campaign(space_file, overrides)
        space = look_ahead(campaign, problems, seen)[0]
        chosen, name = seen.choose(space), campaign.name
    else:
        space, chosen = load_space(space_file, overrides, data, scale, count)
        name = space.study
        for note in space.notes:
            click.echo(note, err=True)
    if (scale or space.scale) == "auto":
        click.echo(f"scale {chosen}: {count or 'no'} GPU{'s' * (count != 1)} {where}", err=True)
    with progress() as tell:
        paths = locate_data(space.data, chosen, work_dir / name / "data", tell)
    if source.server:
        if workers:
            raise click.UsageError("--workers belongs to a start without --server: sweep worker --slots brings workers")
        if stages:
            from sweeps.campaign.start import start_there

            return start_there(campaign, seen, source, chosen, paths, command_line())
        from sweeps.run.submit import submit_and_watch

        return submit_and_watch(source, space, chosen, paths, table)
    from sweeps.run.run import Cluster, Plan, attach_or_run  # optuna and the server: not for a mistyped space

    plan = Plan(
        space=space,
        scale=chosen,
        data=paths,
        storage=source.storage,
        work_dir=work_dir,
        owner=owner or user_name(),
        workers=workers,
        gpus=tuple(found),
        command=command_line(),
        ray=Cluster(address, gpus_per_trial, data_root) if pool == "ray" else None,
        table=table,
    )
    if stages:
        from sweeps.campaign.start import start_here

        return start_here(campaign, seen, plan)
    return attach_or_run(plan)


def user_name() -> str:
    """Who runs this, for the column `owner`."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return f"user {os.getuid()}"


def command_line() -> str:
    """The line that goes on with what was interrupted."""
    import shlex

    return shlex.join(["sweep", *sys.argv[1:]])
