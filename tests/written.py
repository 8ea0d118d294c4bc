"""Command lines and files that documents show, for tests that hold them to the truth."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from sweeps.cli import cli

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$|((?:^    .*\n|^\n)+)", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(sweep [^`]+)`")
_START = re.compile(r"^(?:\$ )?(?:[A-Z_]+=(?:\$\([^)]*\)|\S)+ +)*(sweep .*)$")

_DRAWN = re.compile("[\u2500-\u257f]")  # lines of a drawing


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [text for kind, text, _ in _BLOCK.findall(path.read_text()) if kind == language]


def command_lines(path: Path) -> Iterator[tuple[str, bool]]:
    """Every `sweep ...` of a document, and whether it is whole: a span in the text may be no more than a name."""
    text = path.read_text()
    for _, fenced, indented in _BLOCK.findall(text):
        for line in (fenced or indented).replace("\\\n", " ").splitlines():
            if (found := _START.match(line.strip())) and not _DRAWN.search(line):
                yield found[1], True
    for span in _SPAN.findall(text):
        yield span, False


def words(line: str) -> list[str]:
    """A line's words after `sweep`, as far as the shell hands them to it."""
    found = shlex.split(line, comments=True)[1:]
    ends = [number for number, word in enumerate(found) if word in ("&", "|", "||", "&&", ";", "...")]
    return found[: ends[0]] if ends else found


def parses(arguments: Sequence[str]) -> None:
    """Parses a command line as `sweep` would, without carrying it out.

    Raises:
        click.UsageError: there is no such command, option or argument.
    """
    command: click.Command = cli
    parent: click.Context | None = None
    left, name = list(arguments), "sweep"
    while True:
        context = command.make_context(name, left, parent=parent)
        if not isinstance(command, click.Group):
            return
        found, child, left = command.resolve_command(context, [*context._protected_args, *context.args])
        assert child is not None
        command, name, parent = child, found or "", context
