"""Runs a study while faults happen, until it is finished or the time is over."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil
from faults import Fault, Kind
from town import Town

_TICK = 0.02
_STALL = 120  # seconds without a word of any training


@dataclass
class Outcome:
    """What happened.

    Attributes:
        seconds: from the first worker's start to the study's end.
        ends: exits of server and workers that no fault brought about, as (name, exit code, when).
        orphans: processes that were left after everything had been asked to end.
    """

    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0
    ends: list[tuple[str, int, float]] = field(default_factory=list)
    orphans: list[psutil.Process] = field(default_factory=list)

    def kinds(self) -> Counter[str]:
        """How many faults of each kind."""
        return Counter(fault.kind for fault in self.faults)


def conduct(
    town: Town, study: str, trials: int, kinds: Sequence[Kind], draw: random.Random, deadline: float
) -> Outcome:
    """Injects the faults at random moments while trials are trained; ends the town.

    Args:
        town: with the study submitted.
        study: its name.
        trials: how many it will have; faults are spread over them.
        kinds: the faults, in order.
        draw: decides moments and victims.
        deadline: seconds for everything.
    """
    outcome, pending = Outcome(), list(kinds)
    moments = sorted(draw.uniform(0.01, 0.95) * trials for _ in pending)
    began, last_look = time.monotonic(), 0.0
    heard, last_heard = 0, began
    while True:
        now = time.monotonic()
        assert now - began < deadline, _stuck(town, study, outcome, pending)
        town.tend()
        town.book.update()
        if len(town.book.lines) > heard:
            heard, last_heard = len(town.book.lines), now
        assert now - last_heard < _STALL, _stuck(town, study, outcome, pending)
        _end_faults(outcome.faults, now)
        if pending and len(town.book.results) >= moments[len(outcome.faults)]:
            time.sleep(draw.uniform(0, 0.2))  # anywhere within an epoch
            fault = pending[0](town, draw)
            if fault:
                outcome.faults.append(fault)
                pending.pop(0)
        elif not pending and len(town.book.results) >= trials and now > last_look + 0.5:
            last_look = now
            status = town.ask(f"/studies/{study}/status")
            if status and status["state"] == "finished" and not any(fault.over for fault in outcome.faults):
                break
        time.sleep(_TICK)
    outcome.seconds = time.monotonic() - began
    outcome.orphans = town.end()
    outcome.ends = [(one.name, *end) for one in (town.server, *town.workers) for end in one.left]
    return outcome


def _end_faults(faults: list[Fault], now: float) -> None:
    for fault in faults:
        if fault.over and now >= fault.until:
            fault.over()
            fault.over, fault.until = None, time.monotonic()


def _stuck(town: Town, study: str, outcome: Outcome, pending: list[Kind]) -> str:
    status = town.ask(f"/studies/{study}/status")
    logs = "\n".join(
        f"{one.name}: {''.join(one.log.read_text(errors='replace').splitlines(keepends=True)[-15:])}"
        for one in (town.server, *town.workers)
    )
    return (
        f"not finished in time: {len(town.book.results)} results, {status and status['trials']}, "
        f"{len(outcome.faults)} faults, {len(pending)} to come\n{logs}"
    )
