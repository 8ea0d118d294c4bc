"""What ``sweep data`` prints: a check's figures and problems as table or JSON, and progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runner.data.report import Finding, Report
    from runner.data.statistics import Statistics
    from sweeps.space.problems import SpaceProblem

WIDTH = 100  # columns in a log
Tell = Callable[[str, int, int], None]


@contextmanager
def progress() -> Iterator[Tell]:
    """Gives a function of (what is done, how much, of how much): bars on a terminal, lines in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    tasks: dict[str, Any] = {}
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:

        def tell(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
                if not console.is_terminal:
                    click.echo(f"{what} ({of}) ...", err=True)
            bars.update(tasks[what], completed=done)

        yield tell


def as_json(file: Path, report: Report, figures: Mapping[str, Statistics], drawn: list[Path]) -> dict[str, Any]:
    """The check as one JSON document."""
    return {
        "ok": not report.fatal,
        "file": str(file),
        "name": report.data.name,
        "classes": list(report.classes),
        "parts": {part: _part(numbers) for part, numbers in figures.items()},
        "problems": [
            {"part": finding.part, "file": str(finding.file), "line": None, "column": None} | asdict(finding.problem)
            for finding in report.findings
        ],
        "overlays": [str(path) for path in drawn],
    }


def mistakes_as_json(file: Path, problems: Sequence[SpaceProblem]) -> dict[str, Any]:
    """Mistakes in the data file itself, which nothing else can be said about, in the same form."""
    mistakes = [{"part": None} | asdict(problem) | {"fatal": True} for problem in problems]
    return {"ok": False, "file": str(file), "problems": mistakes}


def _part(numbers: Statistics) -> dict[str, Any]:
    return asdict(numbers) | {
        "image_sizes": [
            {"width": width, "height": height, "images": count}
            for (width, height), count in numbers.image_sizes.items()
        ],
        "instances_per_image": dict(zip(("min", "median", "max"), numbers.instances_per_image, strict=True)),
        "object_sizes": dict(zip(("min", "p10", "p50", "p90", "max"), numbers.object_sizes, strict=True)),
    }


def print_report(report: Report, figures: Mapping[str, Statistics], drawn: list[Path], most: int) -> None:
    """The check for a person: one column a part, then a line for each kind of problem, fatal ones first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if figures:
        table = Table(title=Text(report.data.name, "table.title"), title_justify="left")
        table.add_column("")
        for part in figures:
            table.add_column(part, justify="right")
        labels = [label for label, _ in _rows(next(iter(figures.values())))]
        columns = [[text for _, text in _rows(numbers)] for numbers in figures.values()]
        for label, *texts in zip(labels, *columns, strict=True):
            table.add_row(label, *map(Text, texts))
        console = Console()
        console.print(table, width=None if console.is_terminal else WIDTH)
    kinds: dict[object, list[Finding]] = {}
    for finding in report.findings:
        kinds.setdefault(finding.kind, []).append(finding)
    for alike in list(kinds.values())[:most]:
        click.echo(f"{'error' if alike[0].problem.fatal else 'warning'}: {_text(alike)}")
    if left := sum(map(len, list(kinds.values())[most:])):
        click.echo(f"and {left} more: --format json lists all")
    click.echo(_verdict(report))
    if drawn:
        click.echo(f"{len(drawn)} pictures with their labels drawn in: {drawn[0].parent}")


def _text(alike: Sequence[Finding]) -> str:
    """What is wrong in the same way with one or several images or annotations, in one line."""
    from runner.data.image_checks import listed

    first, others = alike[0], [one.problem.key.partition(".")[0] for one in alike[1:]]
    return first.text() + (f" ({len(others)} more like it: {listed(others)})" if others else "")


def _rows(numbers: Statistics) -> list[tuple[str, str]]:
    low, median, high = numbers.instances_per_image
    smallest, p10, p50, p90, largest = numbers.object_sizes
    sizes = [f"{width} x {height}: {count}" for (width, height), count in numbers.image_sizes.items()]
    more = [f"and {len(sizes) - 3} other sizes"] if len(sizes) > 3 else []
    return [
        ("images", str(numbers.images)),
        ("of them without labels", str(numbers.images_without_labels)),
        ("width x height: images", "\n".join(sizes[:3] + more)),
        ("instances", str(numbers.instances)),
        ("of each class", "\n".join(f"{name}: {count}" for name, count in numbers.classes.items())),
        ("crowd regions", str(numbers.crowd_regions)),
        ("instances an image: min, median, max", f"{low}, {median:g}, {high}"),
        ("size sqrt(area): 10 %, 50 %, 90 % (px)", f"{p10:.1f}, {p50:.1f}, {p90:.1f}"),
        ("size: min, max (px)", f"{smallest:.1f}, {largest:.1f}"),
        ("instances a megapixel", f"{numbers.density:.1f}"),
        ("covered area", f"{numbers.covered:.1%}"),
        ("overlapping pairs", str(numbers.overlapping_pairs)),
        ("instances that overlap", f"{numbers.overlapping:.1%}"),
        ("instances that touch or overlap", f"{numbers.touching:.1%}"),
    ]


def _verdict(report: Report) -> str:
    fatal, warnings = len(report.fatal), len(report.findings) - len(report.fatal)
    minor = f"{warnings} warning{'s' * (warnings != 1)}"
    if fatal:
        return f"{fatal} error{'s' * (fatal > 1)}, {minor}: no sweep starts before the errors are mended"
    return f"no errors, {minor}: ready to train"
