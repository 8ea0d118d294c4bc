"""``sweep data``: check the images and labels of a data file, generate particles to try things on."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import click

SHOWN = 30  # problems in the table; JSON has all


class Size(click.ParamType[tuple[int, int]]):
    """``HEIGHTxWIDTH`` in pixels."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(height, width)."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)\s*[xX×]\s*(\d+)", str(value).strip())  # noqa: RUF001 - people paste this sign
        if not found:
            self.fail(f"{value!r} is no HEIGHTxWIDTH, such as 1024x1280", param, ctx)
        return int(found[1]), int(found[2])


@click.group(epilog="Example:  sweep data check my_data.yaml")
def data() -> None:
    """Check images and labels, or generate some to try things on."""


@data.command(epilog="Example:  sweep data check search_spaces/data/hackathon.yaml --out check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the overlays. [data_check]")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--overlays", type=click.IntRange(0), default=6, show_default=True, help="Pictures of each part.")
def check(file: Path, out: Path | None, form: str, overlays: int) -> None:
    """Check FILE's pictures and labels, and list every broken thing.

    Counts, sizes, overlaps. Draws the masks of some pictures into PNGs. Exits with 1 where a training would fail or its
    score lie.
    """
    from runner.data.overlays import write_overlays
    from runner.data.report import check_data
    from runner.data.statistics import Statistics, compute
    from runner.errors import UserError
    from sweeps.cli.data_report import as_json, mistakes_as_json, print_report, progress
    from sweeps.space.datafile import read_data_file
    from sweeps.space.problems import SpaceErrors

    try:
        described = read_data_file(file)
    except SpaceErrors as error:
        if form != "json":
            raise
        click.echo(json.dumps(mistakes_as_json(file, error.problems), ensure_ascii=False, indent=2))
        click.get_current_context().exit(1)
    with progress() as tell:
        report = check_data(described, tell)
        figures: dict[str, Statistics] = {}
        for part, images in report.images.items():
            labels = report.labels.get(part, report.labels["train"])
            if labels.sizes:
                figures[part] = compute(labels, images, partial(tell, f"measuring {part}"))
        folder = out or Path("data_check")
        try:
            drawn = write_overlays(report, folder, overlays, partial(tell, "drawing"))
        except OSError as error:
            raise UserError(
                f"{folder} cannot be written: {error.strerror or error}; name another with --out"
            ) from error
    if form == "json":
        click.echo(json.dumps(as_json(file, report, figures, drawn), ensure_ascii=False, indent=2))
    else:
        print_report(report, figures, drawn, SHOWN)
    if report.fatal:
        click.get_current_context().exit(1)


@data.command(epilog="Example:  sweep data demo particles --images 40 --size 256x320 --seed 1")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--images", type=click.IntRange(1), default=100, show_default=True, help="Training pictures.")
@click.option("--val", type=click.IntRange(1), help="Validation pictures. [a quarter of --images, at least 2]")
@click.option("--test", type=click.IntRange(1), help="Test pictures. [a quarter of --images, at least 2]")
@click.option("--holdout", type=click.IntRange(1), help="Held-out pictures. [a quarter of --images, at least 2]")
@click.option("--size", type=Size(), default="1024x1280", show_default=True, help="Height x width in pixels.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same pictures.")
@click.option(
    "--unlabelled",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Share of the visible particles without a label.",
)
@click.option(
    "--density",
    type=click.FloatRange(0, 200, min_open=True),
    default=26.0,
    show_default=True,
    help="Particles a picture that shows the whole scene.",
)
@click.option(
    "--view",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Share of the scene in a picture: less shows fewer particles, larger.",
)
def demo(
    folder: Path,
    images: int,
    val: int | None,
    test: int | None,
    holdout: int | None,
    size: tuple[int, int],
    seed: int,
    unlabelled: float,
    density: float,
    view: float,
) -> None:
    """Generate pictures of particles, with COCO masks, into DIR.

    Prints the path of the data file.
    """
    from runner.data.generator import write_dataset
    from sweeps.cli.data_report import progress

    with progress() as tell:
        path = write_dataset(
            folder,
            images,
            size,
            seed,
            unlabelled,
            density,
            view=view,
            val=val,
            test=test,
            holdout=holdout,
            progress=partial(tell, "generating"),
        )
    click.echo(path)
