"""``sweep start``: the study server, its workers, and a view of both, in one process."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

import click

from sweeps.cli import options


@click.command(epilog="Example:  sweep start search_spaces/models.yaml --data my_data.yaml --set fixed.epochs=8")
@options.space
@click.option("--workers", type=click.IntRange(1), help="Trainings at a time. [one a GPU, else one]")
@click.option(
    "--work-dir", type=click.Path(path_type=Path), default=Path("work_dirs"), show_default=True,
    help="Folder of configs, logs and checkpoints.",
)  # fmt: skip
@click.option("--owner", help="Who runs it, as in the table. [your user name]")
@options.storage
@click.option("--study", help="Name of the study, instead of the one in SPACE.")
def start(
    space_file: Path,
    data: Path | None,
    scale: str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    work_dir: Path,
    owner: str | None,
    storage: str,
    study: str | None,
) -> int:
    """Propose, train and rank until the budget of SPACE is spent; started again, it goes on.

    Ctrl-C ends politely: what trains is handed back and goes on from its last epoch at the next start.
    A second start of a running study watches it.
    """
    from runner.machine import gpus
    from sweeps.cli.data_report import progress
    from sweeps.session import load_space, locate_data

    if study:
        overrides = (*overrides, f"study={study}")
    found = gpus()
    space, chosen = load_space(space_file, overrides, data, scale, len(found))
    for note in space.notes:
        click.echo(note, err=True)
    if (scale or space.scale) == "auto":
        click.echo(f"scale {chosen}: {len(found) or 'no'} GPU{'s' * (len(found) != 1)} here", err=True)
    with progress() as tell:
        paths = locate_data(space.data, chosen, work_dir / space.study / "data", tell)
    from sweeps.run import Plan, attach_or_run  # optuna and the server: not for a mistyped space

    plan = Plan(
        space=space,
        scale=chosen,
        data=paths,
        storage=storage,
        work_dir=work_dir,
        owner=owner or _user(),
        workers=workers,
        gpus=tuple(found),
        command=_command(),
    )
    return attach_or_run(plan)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return f"user {os.getuid()}"


def _command() -> str:
    import shlex

    return shlex.join(["sweep", *sys.argv[1:]])
