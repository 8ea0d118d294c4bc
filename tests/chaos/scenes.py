"""What the chaos tests share: which faults are ordinary, how a study begins, what is printed at its end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

import faults
import surroundings
from conductor import Outcome
from town import Town

ORDINARY: list[faults.Kind] = [
    faults.kill_trainer, faults.kill_worker, faults.kill_server, surroundings.cut_message, surroundings.cut_network,
    faults.stop_trainer, faults.stop_worker, faults.stop_server, surroundings.silence_network,
    surroundings.delay_network, surroundings.lock_database,
]  # fmt: skip


def opened(place: Town, space: str) -> None:
    """Starts the server and hands the study in."""
    path = place.plan.folder / "space.yaml"
    path.write_text(space)
    place.server.tend()
    deadline = time.monotonic() + 60
    while place.ask("/health") is None:
        assert time.monotonic() < deadline, place.server.log.read_text()
        time.sleep(0.1)
    place.submit(path)


def until(place: Town, what: Callable[[], bool]) -> None:
    """Supervises until it is so."""
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline, place.workers[0].log.read_text()
        place.tend()
        time.sleep(0.05)


def told(name: str, outcome: Outcome, counts: Mapping[str, int]) -> None:
    """What happened, for whoever reads the test's output."""
    print(f"\n{name}: {len(outcome.faults)} faults in {outcome.seconds:.0f} s")
    for what, number in [*sorted(outcome.kinds().items()), *sorted(counts.items())]:
        print(f"  {number:5} {what}")


def mixed(draw: random.Random, kinds: Sequence[faults.Kind], count: int) -> list[faults.Kind]:
    """So many faults, each kind about as often, in random order."""
    found = [kinds[i % len(kinds)] for i in range(count)]
    draw.shuffle(found)
    return found
