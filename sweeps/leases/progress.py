"""Where the running trials of a study stand, and the lines about them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from results.records import TrialRecord
from runner.protocol import EpochReport, Lease


@dataclass
class Progress:
    """Where a running trial stands, for people who watch.

    Attributes:
        epoch: validated so far, of `epochs`.
        score: the latest, None before the first.
    """

    trial: int
    worker: str
    epoch: int
    epochs: int
    score: float | None
    what: str
    since: float = field(default_factory=time.time)


class Board:
    """Keeps the running trials and tells what happens to them.

    Args:
        objective: what is maximised.
        announce: takes one line for each thing worth telling.

    Attributes:
        running: by number.
    """

    def __init__(self, objective: str, announce: Callable[[str], None]) -> None:
        self._objective, self._announce = objective, announce
        self.running: dict[int, Progress] = {}

    def leased(self, lease: Lease, worker: str) -> None:
        """A worker has a trial."""
        last = lease.reported[-1] if lease.reported else None
        score = last.metrics.get(self._objective) if last else None
        combination = lease.combination
        self.running[lease.trial] = Progress(
            lease.trial, worker, last.epoch if last else 0, combination.settings["epochs"], score,
            f"{combination.model.name} {combination.backbone.name} {combination.optimizer.name}",
        )  # fmt: skip
        if last:
            self._announce(f"trial {lease.trial} goes on after epoch {last.epoch}")

    def epoch(self, trial: int, report: EpochReport) -> None:
        """A trial was validated."""
        score = report.metrics.get(self._objective)
        shown = "none" if score is None else f"{score:.4f}"
        if running := self.running.get(trial):
            running.epoch, running.score = report.epoch, score
            self._announce(f"trial {trial} epoch {report.epoch}/{running.epochs} {self._objective} {shown}")

    def waits(self, trial: int, line: str) -> None:
        """A trial runs no more, and has not ended."""
        self.running.pop(trial, None)
        self._announce(f"trial {trial} {line}")

    def ended(self, row: TrialRecord) -> None:
        """A trial has ended."""
        self.running.pop(row.number, None)
        if row.state == "complete":
            self._announce(f"trial {row.number} complete {self._objective} {row.score:.10f}")
        else:
            self._announce(f"trial {row.number} {row.state}: {row.reason}")
