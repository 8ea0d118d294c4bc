"""Two goals at once: a score to be high, and a cost to be low.

A trial is on the front if no other one has at least its score for at most its cost, and one of them better (Deb et al.
2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Trans. Evol. Comput. 6:182, section III).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from results.records import StudyRecord


def against(study: StudyRecord) -> str | None:
    """The second goal of a study, None if the score is its only one."""
    found = (study.identity.get("objective") or {}).get("against")
    return str(found) if found else None


class Costly(Protocol):
    """What has a cost: a trial's record, a row of a ranking."""

    @property
    def parameters(self) -> float | None:
        """How many the model has."""

    @property
    def peak_memory_mb(self) -> float | None:
        """MiB of its training."""

    @property
    def seconds_per_image(self) -> float | None:
        """Of its inference."""


def cost(of: Costly, goal: str) -> float | None:
    """What a trial costs: ``seconds_per_image``, ``peak_memory_mb`` or ``parameters``; None where it is not known."""
    known = {
        "parameters": of.parameters,
        "peak_memory_mb": of.peak_memory_mb,
        "seconds_per_image": of.seconds_per_image,
    }
    found = known[goal]
    return float(found) if found is not None and math.isfinite(found) else None


def front(points: Mapping[int, tuple[float, float]]) -> frozenset[int]:
    """Those that no other one beats.

    Args:
        points: by trial, (score, cost).

    Returns:
        Their keys; equal points are on it together.
    """
    found: set[int] = set()
    best, price = -math.inf, math.inf  # the last point of the front
    for key, (score, paid) in sorted(points.items(), key=lambda one: (one[1][1], -one[1][0])):
        if score > best or (score, paid) == (best, price):
            found.add(key)
            best, price = score, paid
    return frozenset(found)
