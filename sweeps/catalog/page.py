"""The catalog as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sweeps.catalog.catalog import NOT_SET, columns, limit_row, parameter_row, row

_HEAD = f"""\
# Catalog

What a space can choose from. Written by `sweep catalog --format markdown > docs/catalog.md`; `sweep catalog PART NAME`
shows one entry with all that is known of it, [plugins.md](plugins.md) how to add your own.

M: millions of parameters (of a model: with the backbone beside it). MiB: what training holds for one image of 256 x 256
pixels, by [benchmarks/catalog_cost.py](../benchmarks/catalog_cost.py). Strength: how far an augmentation takes an image
from the photograph, 0 to 1. A default that is {NOT_SET} leaves MMDetection's or torch's own value, or is what the last
column says.
"""


def page(found: Mapping[str, Sequence[Mapping[str, Any]]], limits: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page for what `sweeps.catalog.catalog.document` and `sweeps.catalog.catalog.limits` give."""
    sections = [_HEAD.splitlines(), *_sections(found)]
    if limits:
        rows = [limit_row(limit) for limit in limits]
        head = "`sweep check` refuses a space that would try one of these, and says what to write under `forbid`."
        titles = dict.fromkeys(("what", "scale", "why"), False)
        sections += [["", "## What cannot work together", "", head, "", *_table(titles, rows)]]
    return "\n".join(line for section in sections for line in section) + "\n"


def _sections(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[list[str]]:
    for kind, entries in found.items():
        rows = [row(kind, entry) for entry in entries]
        yield ["", f"## {kind.capitalize()}", "", *_table(columns(kind), rows)]
        parameters = _shared(entries)
        if parameters:
            names = dict.fromkeys(("parameter", "of", "default", "at tiny", "values", "what"), False)
            yield ["", f"### Parameters of {kind}", "", *_table(names, parameters)]


def _shared(entries: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One row a parameter: what is the same for several entries names them all."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        for name, parameter in entry.get("parameters", {}).items():
            alike.setdefault((name, *parameter_row(parameter)), []).append(entry["name"])
    rows = [[name, _of(owners, len(entries)), *cells] for (name, *cells), owners in alike.items()]
    return sorted(rows, key=lambda one: [other[0] for other in rows].index(one[0]))  # those of a name together


def _of(owners: Sequence[str], many: int) -> str:
    return "all" if len(owners) == many else ", ".join(owners)


def _table(titles: Mapping[str, bool], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'|'.join('--:' if numeric else '---' for numeric in titles.values())}|"
    for cells in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
