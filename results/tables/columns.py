"""The columns of the weekly table, whatever it is printed as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from results.ranking.rows import Ranking, Row
from results.text import clean


@dataclass(frozen=True)
class Column:
    """A column of the weekly table.

    Attributes:
        value: the cell's text.
        keep: order in which columns go when the terminal is too narrow, lowest first; None stays.
        right: aligned at its right edge.
    """

    title: str
    value: Callable[[Row], str]
    keep: int | None = None
    right: bool = True


_COSTS = {
    "seconds_per_image": Column("ms/image", lambda row: _number(_scaled(row.seconds_per_image, 1000), ".1f")),
    "peak_memory_mb": Column("MiB", lambda row: _number(row.peak_memory_mb, ".0f")),
    "parameters": Column("M params", lambda row: _number(_scaled(row.parameters, 1e-6), ".2f")),
}


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def weekly(ranking: Ranking) -> list[Column]:
    """The weekly table's columns from left to right."""
    name = ranking.objective if len(ranking.objective) <= 12 else "score"
    if ranking.merged:
        name = "mean"
    columns = [
        Column("#", lambda row: "-" if row.rank is None else str(row.rank)),
        Column("trial", lambda row: str(row.trial), keep=5),
        Column("owner", lambda row: clean(row.owner), keep=4, right=False),
        Column("tried", lambda row: clean(row.label), right=False),
        Column(name, lambda row: _number(row.score, ".10f")),
        Column("+/-", lambda row: _number(row.delta_baseline, "+.4f")),
        Column("AP50", lambda row: _number(row.metrics["segm_mAP_50"], ".4f"), keep=2),
        Column("AP75", lambda row: _number(row.metrics["segm_mAP_75"], ".4f"), keep=1),
        Column("epochs", lambda row: str(row.epochs), keep=0),
        Column("time", lambda row: _time(row.seconds), keep=3),
    ]
    at = columns.index(next(column for column in columns if column.title == "+/-")) + 1
    columns[at:at] = _trust(ranking)
    if ranking.against:
        columns[5:5] = [_COSTS[ranking.against], Column("front", lambda row: "*" if row.front else "")]
    if ranking.all_states:
        columns.insert(4, Column("state", _state, right=False))
    return columns


def _trust(ranking: Ranking) -> list[Column]:
    """How sure each row is, as far as anything is known of it."""
    columns = []
    if any((row.seeds or 0) > 1 for row in ranking.rows):
        columns.append(Column("seeds", lambda row: "-" if row.seeds is None else str(row.seeds), keep=6))
    if any(row.interval for row in ranking.rows):
        columns.append(Column("95 %", _interval, keep=7))
    if any(row.group for row in ranking.rows):
        columns.append(Column("place", _place))
    return columns


def _interval(row: Row) -> str:
    return f"{row.interval[0]:.4f}-{row.interval[1]:.4f}" if row.interval else "-"


def _place(row: Row) -> str:
    if row.group is None:
        return "-"
    first, last = row.group
    return str(first) if first == last else f"{first}-{last}"


def _state(row: Row) -> str:
    return clean(f"{row.state}: {row.reason}" if row.reason else row.state)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
