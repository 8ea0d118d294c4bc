"""``sweep catalog``: what can be chosen."""

from __future__ import annotations

import json
from typing import Any

import click

from runner.catalog import PARTS, Entry


@click.command(epilog="Example:  sweep catalog optimizers")
@click.argument("part", required=False)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def catalog(part: str | None, form: str) -> None:
    """List models, backbones, augmentations, optimizers and schedules, with parameters and ranges."""
    names = {f"{kind}s": kind for kind in PARTS}
    part = f"{part}s" if part in PARTS else part
    if part is not None and part not in names:
        from sweeps.space.problems import nearest

        raise click.UsageError(f"there is no part {part}; {nearest(part, names)}")
    chosen = [names[part]] if part else list(PARTS)
    document = {f"{kind}s": [_entry(entry) for entry in PARTS[kind].values()] for kind in chosen}
    if form == "json":
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for title, entries in document.items():
        table = Table("name", "what", "parameters", "source", title=title, title_justify="left")
        for entry in entries:
            parameters = "\n".join(f"{name}: {text}" for name, text in entry["shown"].items())
            table.add_row(entry["name"], entry["title"], parameters, entry["source"])
        console.print(table)


def _entry(entry: Entry) -> dict[str, Any]:
    parameters = {
        name: {
            "kind": p.kind, "default": p.default, "default_tiny": p.at("tiny"), "low": p.low, "high": p.high,
            "choices": list(p.choices), "log": p.log, "help": p.help,
        }
        for name, p in entry.parameters.items()
    }  # fmt: skip
    shown = {
        name: f"{p.default}" + (f" (tiny: {p.at('tiny')})" if p.at("tiny") != p.default else "")
        + (f", {p.low:g} to {p.high:g}" if p.low is not None and p.high is not None else "")
        for name, p in entry.parameters.items()
    }  # fmt: skip
    return {
        "name": entry.name, "title": entry.title, "source": entry.source, "parameters": parameters, "shown": shown,
    }  # fmt: skip
