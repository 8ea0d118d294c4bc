"""The weekly table as Markdown, CSV and HTML, by way of pandas."""

from __future__ import annotations

from dataclasses import fields
from html import escape

import pandas as pd

from results.ranking.rows import METRICS, Ranking, Row
from results.tables.captions import captions
from results.tables.columns import weekly


def csv(ranking: Ranking) -> str:
    """Every field with all its digits, a column for each parameter."""
    return _full_frame(ranking).to_csv(index=False, lineterminator="\n")


def markdown(ranking: Ranking) -> str:
    """The table and its captions; what is Markdown or HTML in a value is escaped."""
    frame = _frame(ranking).map(lambda cell: escape(cell, quote=False).replace("|", "\\|"))
    align = ["right" if column.right else "left" for column in weekly(ranking)]
    text = frame.to_markdown(index=False, disable_numparse=True, colalign=align) if ranking.rows else ""
    notes = [escape(line, quote=False) for line in captions(ranking)]
    return "\n\n".join(filter(None, [text, *notes]))


def page(ranking: Ranking) -> str:
    """A readable page that needs no other file."""
    table = _frame(ranking).to_html(index=False, border=0, escape=True) if ranking.rows else ""
    notes = "\n".join(f"<p>{escape(line)}</p>" for line in captions(ranking))
    title = escape(f"Ranking of {ranking.study.name}")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #ddd; }}
tbody tr:first-child {{ font-weight: bold; }}
p {{ color: #555; margin: .4rem 0; }}
</style>
</head>
<body>
<h1>{title}</h1>
{table}
{notes}
</body>
</html>
"""


def _frame(ranking: Ranking) -> pd.DataFrame:
    """The weekly table's cells as text."""
    return pd.DataFrame(
        {column.title: [column.value(row) for row in ranking.rows] for column in weekly(ranking)},
        dtype=object,
    )


def _full_frame(ranking: Ranking) -> pd.DataFrame:
    """Every field with all its digits, a column for each parameter."""
    rows = []
    for row in ranking.rows:
        flat = row.document()
        params = flat.pop("params")
        flat["augmentation"] = " + ".join(flat["augmentation"])
        for name in ("interval", "group"):
            flat[name] = " to ".join(map(str, flat[name])) if flat[name] else None
        flat["adjusted"] = ", ".join(f"{name} {value}" for name, value in (flat["adjusted"] or {}).items()) or None
        rows.append({name: _harmless(value) for name, value in {**flat, **params}.items()})
    names = [field.name for field in fields(Row) if field.name not in ("params", "label", "what")]
    at = names.index("metrics")
    columns = dict.fromkeys([*names[:at], *METRICS, *names[at + 1 :], *(name for row in rows for name in row)])
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def _harmless(value: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front of it."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
