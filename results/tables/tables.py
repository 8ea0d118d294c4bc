"""The weekly table: for a terminal, Markdown, CSV, JSON and HTML."""

from __future__ import annotations

import json
from typing import Literal

from results.ranking.merged import merged
from results.ranking.rows import Ranking
from results.tables.terminal import terminal

Format = Literal["table", "markdown", "csv", "json", "html"]


def render(ranking: Ranking, format: Format, width: int = 100, color: bool = False) -> str:
    """The ranking as text; where combinations were repeated, a line of a table is one of them.

    Args:
        ranking: what to show.
        format: ``table``, ``markdown``, ``html`` carry captions; ``json`` and ``csv`` have all digits.
        width: columns of the terminal, for ``table``.
        color: whether the terminal shows colours, for ``table``.
    """
    if format in ("table", "markdown", "html"):
        ranking = merged(ranking)
    if format == "table":
        return terminal(ranking, width, color)
    if format == "json":
        return json.dumps(ranking.document(), ensure_ascii=False, indent=2, allow_nan=False)
    from results.tables import frames  # pandas takes half a second that the other two need not pay

    return {"csv": frames.csv, "markdown": frames.markdown, "html": frames.page}[format](ranking)
