"""Which combinations the rules of a space forbid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from runner.protocol import Scalar
from sweeps.space.schema import Choice, Pick, SearchSpace, label_of

Assignment = dict[str, Scalar]
_Rule = frozenset[tuple[str, frozenset[Scalar]]]  # (searched key, labels that match)


def forbidden(space: SearchSpace, assignment: Mapping[str, Scalar]) -> bool:
    """Whether every key of one rule matches."""
    return any(all(_matches(space, key, wanted, assignment) for key, wanted in rule.items()) for rule in space.forbid)


def everything_forbidden(space: SearchSpace) -> bool:
    """Whether no choice is left that the rules allow."""
    return first_allowed(space) is None


def never_matches(space: SearchSpace, rule: Mapping[str, tuple[Scalar, ...]]) -> bool:
    """Whether nothing in the space is forbidden by a rule."""
    return _searched(space, rule) is None


def ruled(space: SearchSpace) -> list[str]:
    """Searched keys that a rule names, in the order of the file."""
    named = {key for rule in space.forbid for key in rule}
    return [key for key, form in space.search.items() if key in named and isinstance(form, Choice)]


def first_allowed(
    space: SearchSpace,
    wanted: Mapping[str, Sequence[Scalar]] | None = None,
    rules: Sequence[Mapping[str, tuple[Scalar, ...]]] = (),
) -> Assignment | None:
    """The first choice of what the rules name that none forbids; None where there is none.

    Args:
        space: a checked space.
        wanted: key of a choice -> the labels it may have.
        rules: further ones besides the space's.
    """
    wanted = wanted or {}
    every = [found for rule in (*space.forbid, *rules) if (found := _searched(space, rule)) is not None]
    named = {key for rule in every for key, _ in rule}
    keys = [key for key in space.search if key in named or key in wanted]
    return _first([(key, wanted[key] if key in wanted else _labels(space, key)) for key in keys], every)


def weigh(space: SearchSpace, weight: Callable[[str, Scalar], int]) -> int:
    """Sum over all allowed choices of what the rules name of the product of their labels' weights."""
    rules = [found for rule in space.forbid if (found := _searched(space, rule)) is not None]
    weights = [(key, {label: weight(key, label) for label in _labels(space, key)}) for key in ruled(space)]
    return _weigh(weights, rules)


def matching(space: SearchSpace, key: str, fits: Callable[[Any], bool]) -> tuple[Scalar, ...]:
    """Labels of a choice whose value, or one of whose names, fits; ``none`` stands for no augmentation."""
    form = space.search[key]
    assert isinstance(form, Choice)
    return tuple(option.label for option in form.options if any(map(fits, names(option.value))))


def names(value: Any) -> Iterable[Scalar]:
    """What rules compare a value with: each name of a part, of a setting the value as a study stores it."""
    if isinstance(value, tuple) and all(isinstance(pick, Pick) for pick in value):
        return [pick.name for pick in value] or ["none"]
    return [label_of(value)]


def _matches(space: SearchSpace, key: str, wanted: tuple[Scalar, ...], assignment: Mapping[str, Scalar]) -> bool:
    """Whether what is chosen for a key is one of `wanted`; a list of augmentations is each name in it."""
    form = space.search.get(key)
    value = form.option(assignment[key]).value if isinstance(form, Choice) else space.fixed.get(key)
    return any(name in wanted for name in names(value))


def _labels(space: SearchSpace, key: str) -> tuple[Scalar, ...]:
    form = space.search[key]
    return form.labels if isinstance(form, Choice) else ()


def _searched(space: SearchSpace, rule: Mapping[str, tuple[Scalar, ...]]) -> _Rule | None:
    """A rule over what is searched alone; None where something else, or nothing, keeps it from matching."""
    found = set()
    for key, wanted in rule.items():
        if isinstance(space.search.get(key), Choice):
            labels = matching(space, key, wanted.__contains__)
            if not labels:
                return None
            found.add((key, frozenset(labels)))
        elif not any(name in wanted for name in names(space.fixed.get(key))):
            return None
    return frozenset(found)


def _after(rules: Iterable[_Rule], key: str, label: Scalar) -> list[_Rule] | None:
    """The rules that can still match once `label` is chosen for `key`; None where one matches."""
    left = []
    for rule in rules:
        labels = next((labels for name, labels in rule if name == key), None)
        if labels is None:
            left.append(rule)
        elif label in labels:
            left.append(rule - {(key, labels)})
    return left if all(left) else None


def _first(keys: Sequence[tuple[str, Sequence[Scalar]]], rules: list[_Rule]) -> Assignment | None:
    if not all(rules):
        return None
    if not keys:
        return {}
    (key, labels), *rest = keys
    for label in labels:
        left = _after(rules, key, label)
        tail = None if left is None else _first(rest, left)
        if tail is not None:
            return {key: label, **tail}
    return None


def _weigh(weights: Sequence[tuple[str, Mapping[Scalar, int]]], rules: list[_Rule]) -> int:
    """Labels that no rule tells apart are taken together: the product of all choices may be huge."""
    if not all(rules):
        return 0
    if not rules:
        return math.prod(sum(labels.values()) for _, labels in weights)
    (key, labels), *rest = weights
    alike: Counter[frozenset[_Rule]] = Counter()
    for label, weight in labels.items():
        left = _after(rules, key, label)
        if left is not None:
            alike[frozenset(left)] += weight
    return sum(weight * _weigh(rest, list(left)) for left, weight in alike.items() if weight)
