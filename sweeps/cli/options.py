"""Options that several commands share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.core import ParameterSource

from results.reader import Reader
from results.records import StudyRecord
from runner.errors import UserError

if TYPE_CHECKING:
    from sweeps.access.remote import Remote

Command = Callable[..., Any]

storage = click.option(
    "--storage",
    envvar="SWEEP_STORAGE",
    default="sqlite:///sweeps.db",
    show_default=True,
    help="URL of the database (or SWEEP_STORAGE).",
)

seed_noise = click.option(
    "--seed-noise", type=click.FloatRange(0, 1, min_open=True),
    help="Standard deviation of a score between seeds, where you know it: 0.01 is one point. [learnt from repeats]",
)  # fmt: skip
study = click.option("--study", help="Name of the study. [the only one, else the one started last]")


class Bytes(click.ParamType[int]):
    """A size such as ``200GB``, ``1.5TB`` or ``500MiB``, in bytes."""

    name = "size"
    _UNITS: ClassVar = {"": 1, **{f"{letter}B": 1000**n for n, letter in enumerate("KMGT", 1)},
              **{f"{letter}IB": 1024**n for n, letter in enumerate("KMGT", 1)}}  # fmt: skip

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
        if not match or match[2].upper() not in self._UNITS:
            self.fail(f"expected a size such as 200GB, found {value}", param, ctx)
        return int(float(match[1]) * self._UNITS[match[2].upper()])


def source(command: Command) -> Command:
    """--storage, --server and --token-file as one `sweeps.access.source.Source`, and --study."""

    @click.option("--server", envvar="SWEEP_SERVER", metavar="URL", help="A team's server instead (or SWEEP_SERVER).")
    @click.option(
        "--token-file", type=click.Path(path_type=Path), help="File that holds its token. [SWEEP_TOKEN holds it]"
    )
    @storage
    @study
    @functools.wraps(command)
    def with_source(storage: str, server: str | None, token_file: Path | None, **others: Any) -> Any:
        from sweeps.access.source import Source

        if server and _given("storage"):
            if _given("server"):
                raise click.UsageError("--server and --storage exclude each other: a server has its own database")
            server = None  # what is written here counts more than SWEEP_SERVER
        return command(source=Source(storage, server, token_file), **others)

    return with_source


def _given(option: str) -> bool:
    """Whether an option stands on the command line, and not in the environment alone."""
    return click.get_current_context().get_parameter_source(option) == ParameterSource.COMMANDLINE


def space(command: Command) -> Command:
    """SPACE with --data, --scale and --set."""
    for decorate in (
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE",
            help="Override a key of SPACE, e.g. fixed.epochs=8; repeat it.",
        ),
        click.option(
            "--scale", type=click.Choice(["auto", "tiny", "standard"]),
            help="Size of the models. [auto: standard with a GPU, else tiny]",
        ),
        click.option("--data", type=click.Path(path_type=Path), help="Data file, instead of the one in SPACE."),
        click.argument("space_file", metavar="SPACE", type=click.Path(path_type=Path)),
    ):  # fmt: skip
        command = decorate(command)
    return command


def choose_study(store: Reader | Remote, name: str | None) -> StudyRecord:
    """The study asked for; else the only one; else the one started last, named on stderr.

    Raises:
        UserError: there is none, or not that one.
    """
    studies = store.studies()
    if not studies:
        raise UserError("no study yet; start one with: sweep start SPACE")
    if name is None:
        if len(studies) > 1:
            click.echo(f"study {studies[-1].name} (of {len(studies)}; --study names another)", err=True)
        return studies[-1]
    from results.ranking.stages import campaign_of

    found = next((one for one in studies if one.name == name), None)
    if found is None and (stages := [one.name for one in studies if campaign_of(one.name) == name]):
        raise UserError(f"{name} is a campaign of {', '.join(stages)}: name one of these, or see sweep campaign")
    if found is None:
        raise UserError(f"there is no study {name}; there are: {', '.join(one.name for one in studies)}")
    return found
