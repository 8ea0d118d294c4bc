"""``repeats: n``: each combination is trained with n seeds, each a trial of its own.

The seed becomes a choice like any other, so that whatever counts, lists, or stores trials knows of it already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.catalog import SETTINGS, Parameter
from sweeps.space.problems import Report
from sweeps.space.schema import Choice, Form, Option, SearchSpace

_REPEATS = Parameter("int", 1, 1, 1000)


def repeats(plain: Mapping[str, Any], report: Report) -> int:
    """How many seeds each combination gets; what cannot go with several is reported."""
    found = plain.get("repeats", 1)
    problem = _REPEATS.problem(found)
    if problem:
        report.add("repeats", problem)
        return 1
    search, sampler = plain.get("search"), plain.get("sampler")
    if found > 1 and isinstance(search, dict) and "seed" in search:
        report.add("repeats", "seeds are searched already", "leave out search.seed, or write repeats: 1")
    if found > 1 and isinstance(sampler, dict) and sampler.get("kind") == "pairwise":
        report.add("repeats", "sampler pairwise trains each of its rows once", "write repeats: 1")
    return int(found)


def seeded(space: SearchSpace, times: int) -> Mapping[str, Form]:
    """What is searched, with the seeds from the fixed one (else 0) on.

    They vary slowest: every combination has its first seed before one has its second.
    """
    if times == 1:
        return space.search
    first = int(space.fixed.get("seed", SETTINGS["seed"].default))
    seeds: Form = Choice(tuple(Option(seed, seed) for seed in range(first, first + times)))
    return {"seed": seeds, **space.search}


def written(space: SearchSpace) -> Mapping[str, Form]:
    """What is searched as the file says it, without the seeds that `seeded` added."""
    return {key: form for key, form in space.search.items() if space.repeats == 1 or key != "seed"}
