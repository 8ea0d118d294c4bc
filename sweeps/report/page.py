"""A report as one HTML file with its pictures in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeps.report.effects import Interaction, figure
from sweeps.report.importance import Importance
from sweeps.report.report import Report

_SHOWN = 4  # interactions that are drawn
_STYLE = """body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; max-width: 60rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #ddd; }
p { color: #555; margin: .4rem 0; } svg { max-width: 100%; height: auto; }"""


def page(report: Report) -> str:
    """The whole file; it needs no other."""
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text: the browser has the letters of any language
    name = report.record.objective
    drawn = [one for one in report.interactions if len(one.cells) > 2][:_SHOWN]
    parts = [
        f"<h1>Report of {escape(report.record.name)}</h1>",
        *(f"<p>{escape(line)}</p>" for line in report.notes),
        "<h2>Which choice matters</h2>" if report.importance else "",
        _picture(partial(_bars, rows=report.importance)) if report.importance else "",
        "<h2>Means by choice</h2>",
        _table(
            ("parameter", "value", "combinations", "stopped", f"mean {name}", "best"),
            [
                (e.parameter, e.value, str(e.combinations), str(e.stopped), figure(e.mean), figure(e.best))
                for e in report.effects
            ],
        ),
        "<h2>Choices that go together</h2>" if report.interactions else "",
        _table(
            ("parameters", "share of variance", "p"),
            [(f"{i.one} x {i.other}", f"{i.share:.3f}", _p(i.p)) for i in report.interactions],
        ),
        *(_picture(partial(_cells, pair=one, objective=name)) for one in drawn),
        *_scatters(report),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Report of '
        f"{escape(report.record.name)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _p(chance: float | None) -> str:
    return "-" if chance is None else f"{chance:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _picture(draw: Callable[[Axes], None]) -> str:
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    draw(figure.subplots())
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _bars(ax: Axes, rows: Sequence[Importance]) -> None:
    """Pale is what chance gives one time in twenty or more often."""
    turned = list(reversed(rows))
    colors = ["C0" if row.p < 0.05 else "#c9d6e8" for row in turned]
    bars = ax.barh([_plain(row.parameter) for row in turned], [row.share for row in turned], color=colors)
    ax.bar_label(bars, [f"p {row.p:.3f}" for row in turned], fontsize="small", padding=3)
    ax.set_xlabel("share")


def _cells(ax: Axes, pair: Interaction, objective: str) -> None:
    """Lines that are parallel go by the sum of both choices; lines that cross do not."""
    ones, others = (list(dict.fromkeys(key[i] for key in pair.cells)) for i in (0, 1))
    for other in others:
        there = [one for one in ones if (one, other) in pair.cells]
        ax.plot([_plain(one) for one in there], [pair.cells[one, other] for one in there], "o-", label=_plain(other))
    ax.set_xlabel(_plain(pair.one))
    ax.set_ylabel(f"mean {_plain(objective)}")
    ax.tick_params(axis="x", rotation=20)
    ax.legend(title=_plain(pair.other), fontsize="small")


def _scatters(report: Report) -> list[str]:
    """Score against what makes a combination heavy: a guess to be looked at is that heavy ones do worse."""
    quantities = {
        "parameters of the model": [
            (one.parameters / 1e6, one.score, one.label) for one in report.points if one.parameters
        ],
        "strength of the augmentations": [
            (one.strength, one.score, one.label) for one in report.points if one.strength is not None
        ],
    }
    parts = []
    for one in report.trends:
        told = f"rank correlation {one.correlation:+.2f}, p {one.p:.3f}, {one.combinations} combinations"
        label = f"{one.quantity} (millions)" if one.quantity.startswith("parameters") else one.quantity
        picture = _picture(partial(_dots, rows=quantities[one.quantity], label=label, report=report))
        parts.append(f"<h2>Score against {one.quantity}</h2>\n<p>{told}</p>\n{picture}")
    return parts


def _dots(ax: Axes, rows: Sequence[tuple[float, float, str]], label: str, report: Report) -> None:
    ax.scatter([x for x, _, _ in rows], [y for _, y, _ in rows])
    if len(rows) <= 15:
        for x, y, text in rows:
            ax.annotate(_plain(text), (x, y), fontsize="x-small", xytext=(3, 3), textcoords="offset points")
    ax.set_xlabel(label)
    ax.set_ylabel(_plain(report.record.objective))


def _plain(text: str) -> str:
    """Text without a beginning of a formula."""
    return text.replace("$", r"\$")
