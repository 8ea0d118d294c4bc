"""``sweep catalog``: what can be chosen."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click


@click.command(epilog="Example:  sweep catalog backbones hrnet_w32")
@click.argument("kind", metavar="[PART]", required=False)
@click.argument("name", required=False)
@click.option(
    "--plugin", "plugins", multiple=True, metavar="FILE.py", help="File of your own to list as well; repeat it."
)
@click.option("--format", "form", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True)
def catalog(kind: str | None, name: str | None, plugins: tuple[str, ...], form: str) -> None:
    """List what can be chosen; with NAME all about one.

    Models, backbones, augmentations, optimizers, schedules and settings. M: millions of parameters (of a model: with
    the backbone beside it). MiB: what training holds for one image of 256 x 256 pixels. Strength: how far an
    augmentation takes an image from the photograph.
    """
    from sweeps.catalog.catalog import KINDS, document, limits

    _load(plugins)
    kinds = [_kind(kind, list(KINDS))] if kind else list(KINDS)
    found = document(kinds, name)
    if name and not found[kinds[0]]:
        from sweeps.space.problems import nearest

        names = [entry["name"] for entry in document(kinds)[kinds[0]]]
        raise click.UsageError(f"there is no {KINDS[kinds[0]]} {name}; {nearest(name, names)}")
    if form == "json":
        whole = found if kind else {**found, "limits": limits()}
        click.echo(json.dumps(whole, ensure_ascii=False))
    elif form == "markdown":
        from sweeps.catalog.page import page

        click.echo(page(found, () if kind else limits()), nl=False)
    elif name:
        _print_one(found[kinds[0]][0])
    else:
        _print_all(found)


def _load(plugins: tuple[str, ...]) -> None:
    """Adds the parts of a user's own files.

    Raises:
        SpaceErrors: one is broken.
    """
    from sweeps.space.plugins import plugin_files
    from sweeps.space.problems import Report

    report = Report(lambda key: ("--plugin", int(key.strip("plugins[]")) + 1, 1))
    plugin_files(list(plugins), Path.cwd(), report)
    report.finish()


def _kind(given: str, kinds: list[str]) -> str:
    """The kind that was asked for; ``model`` is ``models``."""
    found = next((kind for kind in kinds if given in (kind, kind[:-1])), None)
    if found is None:
        from sweeps.space.problems import nearest

        raise click.UsageError(f"there is no part {given}; {nearest(given, kinds)}")
    return found


def _print_all(found: dict[str, list[dict[str, Any]]]) -> None:
    from sweeps.catalog.catalog import columns, row, short

    for kind, entries in found.items():
        brief = [{**entry, "source": short(entry["source"])} if "source" in entry else entry for entry in entries]
        _print_table(columns(kind), [row(kind, entry) for entry in brief], kind)


def _print_one(entry: dict[str, Any]) -> None:
    from sweeps.catalog.catalog import facts, parameter_row

    click.echo(f"{entry['name']}: {entry['title']}" if "title" in entry else entry["name"])
    if "parameters" not in entry:
        default, tiny, values, what = parameter_row(entry)
        for word, value in (("default", default), ("at tiny", tiny), ("values", values), ("what", what)):
            if value:
                click.echo(f"  {word}: {value}")
        return
    for key, value in facts(entry).items():
        click.echo(f"  {key}:{'' if value.startswith(chr(10)) else ' '}{value}")
    if entry["parameters"]:
        rows = [[key, *parameter_row(parameter)] for key, parameter in entry["parameters"].items()]
        columns = dict.fromkeys(("parameter", "default", "at tiny", "values", "what"), False)
        _print_table(columns, rows, "")


def _print_table(columns: dict[str, bool], rows: list[list[str]], title: str) -> None:
    """A table as wide as the terminal, in a log of 100 columns; cells go on in the next line, names do not."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=shutil.get_terminal_size().columns if terminal else 100)
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    used = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    for number in used:
        heading, numeric = list(columns.items())[number]
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=numeric or number == 0)
    for row in rows:
        table.add_row(*(Text(row[number], overflow="fold") for number in used))
    with console.capture() as capture:
        console.print(table)
    click.echo("\n" + "\n".join(line.rstrip() for line in capture.get().splitlines()))
