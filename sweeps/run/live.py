"""What people see while a sweep runs: a live table on a terminal, one line an event in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from results.records import StudyRecord
from sweeps.leases.status import counted, shown

if TYPE_CHECKING:
    from sweeps.leases.coordinator import Coordinator

_LINES = 6  # latest events below the table


class Live:
    """Shows a study's progress on stderr.

    Args:
        record: the study.
        trials_left: how many trials may still begin, None if that is open.
    """

    def __init__(self, record: StudyRecord, trials_left: Callable[[], int | None]) -> None:
        self._record, self._trials_left = record, trials_left
        self._terminal = sys.stderr.isatty()
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._view: RichLive | None = None
        self._coordinator: Coordinator | None = None

    def announce(self, line: str) -> None:
        """Takes one event."""
        if self._terminal:
            self._lines.append(line)
        else:
            click.echo(line, err=True)

    @contextlib.contextmanager
    def shown(self, coordinator: Coordinator) -> Iterator[None]:
        """Shows the table while the block runs (on a terminal)."""
        self._coordinator = coordinator
        if not self._terminal:
            yield
            return
        console = Console(stderr=True, markup=False, emoji=False)
        with RichLive(self._render(), console=console, auto_refresh=False, transient=True) as view:
            self._view = view
            yield
        self._view = None

    def refresh(self) -> None:
        """Draws the table anew."""
        if self._view:
            self._view.update(self._render(), refresh=True)

    def _render(self) -> Group:
        assert self._coordinator
        status = self._coordinator.status()
        counts = counted(status)
        left = self._trials_left()
        head = f"study {self._record.name}: {counts or 'starting (torch and MMDetection load once)'}"
        if left:
            head += f", {left} to begin"
        if status["eta_seconds"]:
            head += f", about {max(1, round(status['eta_seconds'] / 60))} min left"
        running = Table("trial", "what", "epoch", self._record.objective, "time", box=None)
        for trial in self._coordinator.running():
            running.add_row(
                str(trial.trial),
                trial.what,
                f"{trial.epoch}/{trial.epochs}",
                "" if trial.score is None else f"{trial.score:.4f}",
                f"{time.time() - trial.since:.0f} s",
            )
        parts: list[Text | Table] = [Text(head, style="bold"), running]
        if best := status["best"]:
            parts.append(Text(f"best so far: {shown(best)} {best['model']}", "green"))
        return Group(*parts, *(Text(line, style="dim") for line in self._lines))
