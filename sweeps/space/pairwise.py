"""Pairwise covering: few assignments in which every two choices meet at least once.

Most of what does not work fails by two choices that do not go together, so trying all pairs finds it at a fraction of
the cost of trying everything (Kuhn, Wallace, Gallo: Software fault interactions, IEEE TSE 30(6), 2004). The rows come
from allpairspy; pairs it cannot place because of the rules of ``forbid`` get rows of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from allpairspy import AllPairs

from runner.protocol import Scalar
from sweeps.space.exclusion import Assignment, forbidden
from sweeps.space.schema import Choice, SearchSpace

Pair = frozenset[tuple[str, Scalar]]


def rows(space: SearchSpace) -> list[Assignment]:
    """What to choose at the top level, so that every pair that the rules allow is in at least one row.

    The same space gives the same rows in the same order. Ranges, and what stands below a name, are not in them.
    With ``sampler.shard`` K/N every Nth row from the Kth on.
    """
    choices = {name: form.labels for name, form in space.forms().items() if isinstance(form, Choice)}
    found = list(_covering(space, choices))
    number, of = space.sampler.shard
    return found[number - 1 :: of]


def pairs(choices: Mapping[str, Sequence[Scalar]]) -> Iterator[Pair]:
    """Every two labels of two different choices."""
    for (one, firsts), (other, seconds) in itertools.combinations(choices.items(), 2):
        for first, second in itertools.product(firsts, seconds):
            yield frozenset({(one, first), (other, second)})


def _covering(space: SearchSpace, choices: Mapping[str, Sequence[Scalar]]) -> Iterator[Assignment]:
    names = list(choices)
    allowed = _Allowed(space)
    if len(names) < 2:
        for label in itertools.chain(*choices.values()):
            if allowed({names[0]: label}):
                yield {names[0]: label}
        return
    left = set(pairs(choices))
    options = [list(choices[name]) for name in names]
    for row in AllPairs(options, filter_func=lambda part: allowed(dict(zip(names, part, strict=False)))):
        assignment = dict(zip(names, row, strict=True))
        left -= _in(assignment)
        yield assignment
    for pair in pairs(choices):
        if pair in left:
            completed = _complete(dict(pair), choices, allowed, left)
            if completed is not None:
                left -= _in(completed)
                yield completed


class _Allowed:
    """Whether the rules allow a part of an assignment: only those apply whose keys are all in it."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._known: dict[frozenset[str], SearchSpace] = {}

    def __call__(self, part: Assignment) -> bool:
        keys = frozenset(part)
        if keys not in self._known:
            rules = tuple(r for r in self._space.forbid if all(k in keys or k not in self._space.search for k in r))
            self._known[keys] = replace(self._space, forbid=rules)
        return not forbidden(self._known[keys], part)


def _complete(
    part: Assignment, choices: Mapping[str, Sequence[Scalar]], allowed: _Allowed, left: set[Pair]
) -> Assignment | None:
    """A whole assignment around `part`, covering what it can of `left`; None where the rules allow none."""
    if not allowed(part):
        return None
    name = next((name for name in choices if name not in part), None)
    if name is None:
        return {name: part[name] for name in choices}

    def gain(label: Scalar) -> int:
        return sum(frozenset({(name, label), item}) in left for item in part.items())

    for label in sorted(choices[name], key=gain, reverse=True):
        found = _complete({**part, name: label}, choices, allowed, left)
        if found is not None:
            return found
    return None


def _in(assignment: Assignment) -> set[Pair]:
    return {frozenset(two) for two in itertools.combinations(assignment.items(), 2)}
