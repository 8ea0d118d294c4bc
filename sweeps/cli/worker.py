"""``sweep worker``: this machine's slots work for a team's server."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from sweeps.cli.start import user_name


def _per_gpu(_: click.Context, __: click.Parameter, value: str) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"expected a number from 1, or auto, found {value}")
    return int(value)


@click.command(epilog="Example:  sweep worker --server https://server:8600 --token-file token --owner Ana")
@click.option("--server", envvar="SWEEP_SERVER", metavar="URL", required=True, help="The server (or SWEEP_SERVER).")
@click.option("--token-file", type=click.Path(path_type=Path), help="File that holds its token. [SWEEP_TOKEN holds it]")
@click.option("--owner", help="Who runs it, as in the table. [your user name]")
@click.option("--study", help="Take trials of this study only.")
@click.option("--slots", type=click.IntRange(1), help="Trainings at a time. [one a GPU, else one]")
@click.option(
    "--slots-per-gpu", default="1", metavar="N|auto", callback=_per_gpu,
    help="Trainings at a time on each GPU; auto: as many as its memory has room for. [1]",
)  # fmt: skip
@click.option(
    "--data-root", "roots", multiple=True, metavar="[STUDY=]DIR",
    help="Folder that takes the place of the data file's on this machine; repeat it for several studies.",
)  # fmt: skip
@click.option(
    "--work-dir", type=click.Path(path_type=Path),
    help="Folder of what trains here. [in your cache folder]",
)  # fmt: skip
@click.option("--allow-plugins", is_flag=True, help="Run code that a study brings along.")
def worker(
    server: str,
    token_file: Path | None,
    owner: str | None,
    study: str | None,
    slots: int | None,
    slots_per_gpu: int | Literal["auto"],
    roots: tuple[str, ...],
    work_dir: Path | None,
    allow_plugins: bool,
) -> int:
    """Train trials of a server until Ctrl-C.

    Ctrl-C hands them back; they go on elsewhere from their last epoch. Nothing but the server's address and token is
    needed: images are looked for under the study's own paths, or below --data-root, and must be the study's;
    checkpoints travel to the server.
    """
    from runner.pool.attend import Attendance, attend
    from sweeps.access.source import read_token

    return attend(
        Attendance(
            server=server,
            token=read_token(token_file),
            owner=owner or user_name(),
            study=study,
            slots=slots,
            per_gpu=slots_per_gpu,
            roots=roots,
            work_dir=work_dir,
            plugins=allow_plugins,
        )
    )
