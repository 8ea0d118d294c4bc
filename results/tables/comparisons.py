"""A comparison as text."""

from __future__ import annotations

from collections.abc import Mapping

from results.ranking.compare import Comparison, Image, Part
from results.ranking.standings import Standing
from results.text import clean

_SHOWN = 5  # images that speak most for each side


def show(comparison: Comparison, labels: tuple[str, str], files: Mapping[int, str]) -> str:
    """Lines for a terminal.

    Args:
        comparison: what was found.
        labels: what A and B are made of.
        files: image id -> name of its file, as far as known.
    """
    c = comparison
    over = f"{c.images} images" + ("" if c.noise is None else f" and seeds (noise between seeds {c.noise:.4f})")
    lines = [
        f"A  {_who(c.a)}: {clean(labels[0])}",
        f"B  {_who(c.b)}: {clean(labels[1])}",
        "",
        f"A - B  {c.difference:+.4f} {c.objective}, 95 % {c.low:+.4f} to {c.high:+.4f} over {over}",
        f"A is better with probability {c.probability:.3f}" if c.noise is not None else "",
        c.verdict,
    ]
    if c.parts:
        lines += ["", "by size of the objects    A       B       A - B    95 %"]
        lines += [_part(part) for part in c.parts]
    for side, sign in (("A", 1), ("B", -1)):
        most = [image for image in c.moved if image.moves * sign > 0][:_SHOWN]
        if most:
            lines += ["", f"images that speak most for {side}: on it alone A, B; what it adds to A - B"]
            lines += [_line(image, files) for image in most]
    return "\n".join(lines)


def _part(part: Part) -> str:
    figures = f"{part.name:<24}{part.a:8.4f}{part.b:8.4f}{part.a - part.b:+10.4f}"
    return f"{figures}    {part.low:+.4f} to {part.high:+.4f} over {part.covers}"


def _who(standing: Standing) -> str:
    trials = ", ".join(map(str, standing.trials))
    noun = "trial" if standing.seeds == 1 else f"{standing.seeds} seeds, trials"
    return f"{standing.mean:.4f} (combination {standing.combination}, {noun} {trials})"


def _line(image: Image, files: Mapping[int, str]) -> str:
    a, b = ("     -" if value is None else f"{value:.4f}" for value in (image.a, image.b))
    return f"  {clean(files.get(image.id, f'image {image.id}')):<32} {a}  {b}  {image.moves:+.4f}"
