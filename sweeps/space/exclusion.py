"""Which combinations the rules of a space forbid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from runner.protocol import Scalar
from sweeps.space.schema import Choice, Pick, SearchSpace, label_of

Assignment = dict[str, Scalar]


def forbidden(space: SearchSpace, assignment: Mapping[str, Scalar]) -> bool:
    """Whether every key of one rule matches."""
    return any(all(_matches(space, key, wanted, assignment) for key, wanted in rule.items()) for rule in space.forbid)


def everything_forbidden(space: SearchSpace) -> bool:
    """Whether no choice is left that the rules allow."""
    return bool(space.forbid) and all(forbidden(space, chosen) for chosen in ruled_choices(space))


def never_matches(space: SearchSpace, rule: Mapping[str, tuple[Scalar, ...]]) -> bool:
    """Whether nothing in the space is forbidden by a rule."""
    return not any(
        all(_matches(space, key, wanted, chosen) for key, wanted in rule.items()) for chosen in ruled_choices(space)
    )


def ruled(space: SearchSpace) -> list[str]:
    """Searched keys that a rule names, in the order of the file."""
    named = {key for rule in space.forbid for key in rule}
    return [key for key, form in space.search.items() if key in named and isinstance(form, Choice)]


def ruled_choices(space: SearchSpace) -> Iterator[Assignment]:
    """Every choice of what the rules name, and of nothing else."""
    keys = ruled(space)
    labels = [form.labels for key in keys if isinstance(form := space.search[key], Choice)]
    for chosen in itertools.product(*labels):
        yield dict(zip(keys, chosen, strict=True))


def _matches(space: SearchSpace, key: str, wanted: tuple[Scalar, ...], assignment: Mapping[str, Scalar]) -> bool:
    """Whether what is chosen for a key is one of `wanted`; a list of augmentations is each name in it."""
    form = space.search.get(key)
    value = form.option(assignment[key]).value if isinstance(form, Choice) else space.fixed.get(key)
    if isinstance(value, tuple) and all(isinstance(pick, Pick) for pick in value):
        return bool({pick.name for pick in value} & set(wanted)) if value else "none" in wanted
    return label_of(value) in wanted
