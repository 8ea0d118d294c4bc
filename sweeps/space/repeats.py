"""``repeats: n``: each combination is trained with n seeds, each a trial of its own; ``{most: n}``: with up to n.

The seed becomes a choice like any other, so that whatever counts, lists, or stores trials knows of it already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.catalog import SETTINGS, Parameter
from sweeps.space.problems import Report
from sweeps.space.schema import Choice, Form, Option, SearchSpace
from sweeps.space.walk import planned

_REPEATS = Parameter("int", 1, 1, 1000)


def repeats(plain: Mapping[str, Any], report: Report) -> tuple[int, bool]:
    """How many seeds each combination gets, and whether as many only where places are close.

    What cannot go with several is reported.
    """
    found: Any = plain.get("repeats", 1)
    key, adaptive = "repeats", isinstance(found, Mapping)
    if adaptive:
        found, key = report.mapping(found, key, ("most",)).get("most"), "repeats.most"
    problem = _REPEATS.problem(found)
    if problem:
        report.add(key, problem, "write repeats: {most: 3}" if adaptive else None)
        return 1, False
    search, sampler = plain.get("search"), plain.get("sampler")
    if found > 1 and isinstance(search, dict) and "seed" in search:
        report.add("repeats", "seeds are searched already", "leave out search.seed, or write repeats: 1")
    if found > 1 and isinstance(sampler, dict) and sampler.get("kind") == "pairwise":
        report.add("repeats", "sampler pairwise trains each of its rows once", "write repeats: 1")
    return int(found), adaptive and found > 1


def endless(space: SearchSpace, report: Report) -> None:
    """A sampler that draws without end must be told when seeds are to follow."""
    if space.adaptive and planned(space)[0] != "exhaustive" and space.budget.trials is None:
        report.add("repeats", "a sampler keeps a third of budget.trials for further seeds, and there is no such budget",
                   "write budget: {trials: 60}, or a number of repeats")  # fmt: skip


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
