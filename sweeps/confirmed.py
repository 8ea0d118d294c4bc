"""A confirmation as people and scripts read it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TextIO

import click

from results import tried
from results.columns import clean
from results.confirmation import Entry, Order, Outcome, Side
from results.records import StudyRecord, TrialRecord
from results.standings import Standing, stand
from sweeps.show import print_table as print_columns


@dataclass(frozen=True)
class Confirmed:
    """What was confirmed.

    Attributes:
        trials: all of the study.
        best: the winner.
        held: what the images held out say; None where the data have none.
    """

    record: StudyRecord
    order: Order
    trials: Sequence[TrialRecord]
    best: Standing
    held: Outcome | None

    def label(self, combination: str) -> str:
        """What a combination is made of."""
        names = [name for name in tried.varied(self.trials) if name != "seed"]
        return tried.label(next(one for one in self.trials if one.combination == combination), names)

    def rows(self) -> list[dict[str, Any]]:
        """The combinations by their mean over all seeds."""
        standings = {one.combination: one for one in stand(self.trials).standings}
        entries = sorted(self.order.entries, key=lambda one: -standings[one.combination].mean)
        return [self._row(entry, standings[entry.combination]) for entry in entries]

    def _row(self, entry: Entry, standing: Standing) -> dict[str, Any]:
        fresh = [float(one.score) for one in entry.fresh(self.trials) if one.score is not None]
        return {
            "combination": entry.combination,
            "tried": self.label(entry.combination),
            "chosen": entry.chosen,
            "baseline": entry.combination == self.order.baseline,
            "promised": entry.promised,
            "promised_seeds": len(entry.trials),
            "fresh": fmean(fresh) if fresh else None,
            "fresh_seeds": len(fresh),
            "mean": standing.mean,
            "seeds": standing.seeds,
            "trials": list(standing.trials),
        }

    @property
    def overlooked(self) -> Standing | None:
        """A combination that was not confirmed and has a higher mean than the winner."""
        known = {one.combination for one in self.order.entries}
        first = stand(self.trials).standings[0]
        return first if first.mean > self.best.mean and first.combination not in known else None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "study": self.record.name,
            "objective": self.record.objective,
            "top": self.order.top,
            "seeds": self.order.seeds,
            "baseline": self.order.baseline,
            "winner": self.best.combination,
            "rows": self.rows(),
            "holdout": self.held.document() if self.held else None,
        }


def print_table(shown: Confirmed, stream: TextIO) -> None:
    """Writes the combinations, then what the images held out say."""
    rows = shown.rows()
    name = shown.record.objective
    print_columns(
        ("combination", "promised", "fresh seeds", "luck", "mean", "seeds", "tried"),
        [_cells(row) for row in rows],
    )
    lines = [
        f"{shown.record.name}: validation {name}. promised: the mean when the {shown.order.top} best were chosen; "
        "fresh seeds: the mean of those trained since; luck: the difference",
    ]
    if other := shown.overlooked:
        lines.append(
            f"combination {other.combination} ({shown.label(other.combination)}) has the mean {other.mean:.4f} with "
            f"{_seeds(other.seeds)} and was not confirmed: a larger --top includes it"
        )
    lines += ["", *(_held(shown, shown.held) if shown.held else _unheld(shown))]
    width = shutil.get_terminal_size().columns if stream.isatty() else 100
    click.echo("\n".join(textwrap.fill(line, width, subsequent_indent="    ") for line in lines), file=stream)


def _cells(row: dict[str, Any]) -> list[str]:
    fresh = row["fresh"]
    notes = ", baseline" if row["baseline"] else ""
    return [
        row["combination"],
        f"{row['promised']:.4f} ({row['promised_seeds']})",
        "-" if fresh is None else f"{fresh:.4f} ({row['fresh_seeds']})",
        "-" if fresh is None else f"{row['promised'] - fresh:+.4f}",
        f"{row['mean']:.10f}",
        str(row["seeds"]),
        clean(row["tried"]) + notes,
    ]


def _unheld(shown: Confirmed) -> list[str]:
    return [
        f"winner: {_name(shown, shown.best.combination)}",
        "the data have no images held out, so the luck of its validation images is not known; write "
        "holdout: {split: 0.15} in the data file of the next study",
    ]


def _held(shown: Confirmed, held: Outcome) -> list[str]:
    over = f"{held.images} held-out images" + ("" if held.noise is None else " and seeds")
    lines = [f"on {held.images} images that no trial and no ranking saw, {held.objective}, 95 % over {over}:"]
    lines.append(f"  winner    {_side(held.winner)}  {_name(shown, held.winner.combination)}")
    if held.difference:
        gap, low, high = held.difference
        lines.append(f"  baseline  {_side(held.baseline)}  {_name(shown, held.baseline.combination)}")
        lines.append(f"  winner - baseline  {gap:+.4f}, 95 % {low:+.4f} to {high:+.4f}: {held.verdict}")
    else:
        lines.append(f"  {held.verdict}")
    lines += _promise(shown, held)
    if held.looks > 2:
        lines.append(f"{held.looks} combinations were scored there so far: with each look they tell a little less")
    return lines


def _promise(shown: Confirmed, held: Outcome) -> list[str]:
    """How much the ranking had promised too much, and whose luck that was.

    Where several were confirmed, the winner is who did best with its fresh seeds too: what these say of it is lucky as
    well. The mean over all that were confirmed is not, since they were chosen before.
    """
    side = held.winner
    more = side.promised - side.mean
    much = f"{more:.4f} too much" if more > 0 else f"{-more:.4f} too little"
    line = f"the ranking had promised {side.promised:.4f} for the winner: {much}"
    lucks = [row["promised"] - row["fresh"] for row in shown.rows() if row["chosen"] and row["fresh"] is not None]
    if len(lucks) > 1:
        line += f"; by their seeds the {len(lucks)} best had promised {fmean(lucks):+.4f} too much on average"
    elif side.fresh is not None:
        line += f" ({side.promised - side.fresh:+.4f} its seeds, {side.fresh - side.mean:+.4f} its images)"
    if held.difference is None:
        return [line]
    promised, kept = side.promised - held.baseline.promised, held.difference[0]
    return [line, f"it had promised a gain of {promised:+.4f} over the baseline; {kept:+.4f} is left of it"]


def _side(side: Side) -> str:
    return f"{side.mean:.4f}, {side.low:.4f} to {side.high:.4f} ({_seeds(len(side.trials))})"


def _name(shown: Confirmed, combination: str) -> str:
    first = ", the first combination of the study" if combination == shown.order.baseline else ""
    return f"{clean(shown.label(combination))} (combination {combination}{first})"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"
