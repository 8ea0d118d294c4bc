"""A confirmation as people and scripts read it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TextIO

import click

from results.ranking import tried
from results.ranking.confirmation import Entry, Order
from results.ranking.heldout import Outcome
from results.ranking.standings import Standing, stand
from results.records import StudyRecord, TrialRecord
from results.text import clean
from sweeps.confirm import heldout
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
            f"{heldout.seeds(other.seeds)} and was not confirmed: a larger --top includes it"
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
    rows = shown.rows()
    lucks = [row["promised"] - row["fresh"] for row in rows if row["chosen"] and row["fresh"] is not None]
    return heldout.lines(held, _name(shown, held.winner.combination), _name(shown, held.baseline.combination), lucks)


def _name(shown: Confirmed, combination: str) -> str:
    first = ", the first combination of the study" if combination == shown.order.baseline else ""
    return f"{clean(shown.label(combination))} (combination {combination}{first})"
