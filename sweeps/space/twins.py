"""Two spellings of one combination: a study would train it twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from runner.protocol import Scalar, Scale
from sweeps.space.exclusion import Assignment, forbidden
from sweeps.space.problems import SpaceProblem, shown
from sweeps.space.resolve import resolve
from sweeps.space.schema import Choice, Option, SearchSpace
from sweeps.space.walk import first, values

_ANY_IMAGES = 100  # training images: their number changes no two options alike
_MANY = 500  # assignments below one key; nobody writes more by hand


def twins(space: SearchSpace, scale: Scale) -> list[SpaceProblem]:
    """One mistake for each option that trains what an earlier one of its choice trains, all else being equal.

    Args:
        space: checked otherwise; something in it is allowed.
        scale: whose defaults hold: ``AdamW`` is ``{AdamW: {lr: 0.001}}`` at tiny, and not at standard.
    """
    around = first(space)
    choices = [(key, form) for key, form in space.search.items() if isinstance(form, Choice)]
    return [problem for key, form in choices for problem in _of_one(space, scale, key, form, around)]


def _of_one(space: SearchSpace, scale: Scale, key: str, form: Choice, around: Assignment) -> Iterator[SpaceProblem]:
    rest = {name: value for name, value in around.items() if name != key and not name.startswith(f"{key}.")}
    known: dict[tuple[str, int], Scalar] = {}
    for option in form.options:
        for below in itertools.islice(_below(key, option), _MANY):
            if forbidden(space, {**rest, key: option.label, **below}):
                continue
            combination, seed = resolve(space, {**rest, key: option.label, **below}, scale, _ANY_IMAGES)
            token = combination.digest(), seed
            if known.setdefault(token, option.label) != option.label:
                other, where = space.option_key(key, known[token]), space.option_key(key, option.label)
                line, column = space.place(other)[1:]
                place = f"line {line}, column {column}"
                same = f"{_text(key, option, below)} trains the same as {shown(known[token])} ({place})"
                message = f"{same} at scale {scale}"
                yield SpaceProblem(*space.place(where), where, message, "leave one of them out")
                break


def _below(key: str, option: Option) -> Iterator[Assignment]:
    """What an option's own parameters can be; nothing where a range has infinitely many values."""
    forms = list(option.forms(key))
    lists = [values(form) for _, form in forms]
    for found in itertools.product(*(one or () for one in lists)):
        yield dict(zip((name for name, _ in forms), found, strict=True))


def _text(key: str, option: Option, below: Assignment) -> str:
    given = ", ".join(f"{name.rpartition('.')[2]} {shown(value)}" for name, value in below.items())
    return f"{shown(option.label)}" + (f" with {given}" if given else "")
