"""``sweep logs``: what a trial's trainer printed."""

from __future__ import annotations

import codecs
import sys
import time
from typing import TYPE_CHECKING

import click

from sweeps.cli import options

if TYPE_CHECKING:
    from sweeps.access.source import Source

_POLL_SECONDS = 1.0
_KEPT = "\t\n\r"  # \r draws bars of progress


@click.command(epilog="Example:  sweep logs 3 -f")
@click.argument("number", metavar="N", type=click.IntRange(0))
@click.option("-f", "--follow", is_flag=True, help="Go on until the trial ends.")
@options.source
def logs(number: int, follow: bool, source: Source, study: str | None) -> None:
    """Print the log of trial N."""
    from results.errors import NotFoundError
    from results.records import FINAL
    from sweeps.access.logs import piece

    offset, decoder = 0, codecs.getincrementaldecoder("utf-8")("replace")  # a character may lie in two pieces
    with source.reader() as reader:
        record = options.choose_study(reader, study)
        while True:
            trial = reader.trial(record.name, number)
            if trial is None:
                raise NotFoundError(f"study {record.name} has no trial {number}")
            while found := piece(source.storage, reader, record, number, offset):
                click.echo(_shown(found, decoder), nl=False)
                offset += len(found)
            if not follow or trial.state in FINAL:
                break
            time.sleep(_POLL_SECONDS)
    if not offset:
        raise NotFoundError(f"trial {number} of study {record.name} has no log yet")


def _shown(found: bytes, decoder: codecs.IncrementalDecoder) -> bytes:
    """A piece of a log; on a terminal without what it would obey, since anybody's worker may have sent it."""
    if not sys.stdout.isatty():
        return found
    from runner.printable import printable

    return printable(decoder.decode(found), _KEPT).encode()
