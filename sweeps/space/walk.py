"""Walks a space: asks for one assignment, counts them, lists them all; conditional ones only where chosen.

An assignment maps the study's parameter names to values: ``{"model": "mask_rcnn", "optimizer": "SGD",
"optimizer.SGD.lr": 0.01}``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Protocol

from runner.protocol import Scalar
from sweeps.space import pairwise
from sweeps.space.exclusion import Assignment, first_allowed, forbidden, ruled, weigh
from sweeps.space.schema import (
    PRUNERS,
    Budget,
    Choice,
    FloatRange,
    Form,
    IntRange,
    PrunerSpec,
    SamplerKind,
    SearchSpace,
)

_SHORT = 30  # combinations: as many as a person would write a list of
MANY = 1000  # a range of more values counts as infinite: nobody tries them all


class Suggester(Protocol):
    """Who chooses, parameter by parameter (an Optuna trial behind an adapter, or a test)."""

    def categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """One of the choices."""

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        """A number from low to high, inclusive."""

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        """A whole number from low to high, inclusive."""


def suggest(space: SearchSpace, suggester: Suggester) -> Assignment:
    """One assignment, in the order of the file; it may be a forbidden one."""
    found: Assignment = {}
    for name, form in space.forms().items():
        _ask(name, form, suggester, found)
    return found


def _ask(name: str, form: Form, suggester: Suggester, found: Assignment) -> None:
    if isinstance(form, FloatRange):
        found[name] = suggester.float(name, form.low, form.high, form.log, form.step)
    elif isinstance(form, IntRange):
        found[name] = suggester.int(name, form.low, form.high, form.log, form.step)
    else:
        found[name] = suggester.categorical(name, form.labels)
        for inner, sub in form.option(found[name]).forms(name):
            _ask(inner, sub, suggester, found)


class _First:
    """Chooses the first of everything: the first name, the low end."""

    def categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        return choices[0]

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        return low

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        return low


def first(space: SearchSpace) -> Assignment:
    """The first assignment that is allowed, ranges at their low end; for infinite spaces as well.

    Raises:
        ValueError: the rules forbid everything.
    """
    chosen = first_allowed(space)
    if chosen is None:
        raise ValueError("every combination is forbidden")
    return suggest(space, Given(chosen))


class Given(_First):
    """As far as a choice or a number is given, that; else the first of everything."""

    def __init__(self, given: Assignment) -> None:
        self._given = given

    def categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """The given one, or the first."""
        return self._given.get(name, choices[0])

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        """The given one, or the low end."""
        found = self._given.get(name)
        return low if found is None else float(found)

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        """The given one, or the low end."""
        found = self._given.get(name)
        return low if found is None else round(float(found))


def values(form: Form) -> Sequence[Scalar] | None:
    """All that a form can give, in order; None where there are infinitely (or more than MANY) many."""
    if isinstance(form, Choice):
        return form.labels
    if isinstance(form, FloatRange) and form.step is None:
        return None
    low, high, step = (Decimal(str(x)) for x in (form.low, form.high, form.step))
    number = int((high - low) // step) + 1
    if number > MANY:
        return None
    kind = int if isinstance(form, IntRange) else float
    return [kind(low + n * step) for n in range(number)]


def on_step(number: float, low: float, step: float) -> float:
    """The value of a stepped range that `number` is, as `values` writes it: free of the error of adding floats."""
    return float(Decimal(str(low)) + round((number - low) / step) * Decimal(str(step)))


def size(form: Form, name: str = "") -> int | None:
    """How many assignments a form and what stands below it have; None where infinite."""
    if not isinstance(form, Choice):
        found = values(form)
        return None if found is None else len(found)
    total = 0
    for option in form.options:
        inner = _product(size(sub) for _, sub in option.forms(name))
        if inner is None:
            return None
        total += inner
    return total


def count(space: SearchSpace, *, seeds: bool = True, allowed: bool = True) -> int | None:
    """How many assignments there are; None where infinite.

    Args:
        space: a checked space.
        seeds: whether searched seeds count, too (without them: combinations).
        allowed: leave the forbidden ones out.
    """
    forms = {name: form for name, form in space.forms().items() if seeds or name != "seed"}
    if not allowed:
        return _product(size(form) for form in forms.values())
    choices = ruled(space)
    rest = _product(size(form) for name, form in forms.items() if name not in choices)
    if rest is None or any(size(forms[key]) is None for key in choices):
        return None

    def below(key: str, label: Scalar) -> int:
        form = forms[key]
        assert isinstance(form, Choice)
        return math.prod(size(sub) or 0 for _, sub in form.option(label).forms(""))

    return weigh(space, below) * rest


def assignments(space: SearchSpace) -> Iterator[Assignment]:
    """All assignments but the forbidden ones: the first of every choice first, the last key varies fastest.

    Raises:
        ValueError: the space is infinite; raised after its first assignment, ranges at their low end.
    """
    if count(space) is None:
        yield first(space)
        raise ValueError("the space is infinite: there is no second assignment")
    for assignment in _expand(list(space.forms().items())):
        if not forbidden(space, assignment):
            yield assignment


def _expand(forms: list[tuple[str, Form]]) -> Iterator[Assignment]:
    if not forms:
        yield {}
        return
    (name, form), *rest = forms
    for value in values(form) or ():
        inner = list(form.option(value).forms(name)) if isinstance(form, Choice) else []
        for tail in _expand([*inner, *rest]):
            yield {name: value, **tail}


def planned(space: SearchSpace) -> tuple[SamplerKind, int | None]:
    """(sampler, trials to begin): ``auto`` is decided, no more trials than there are (or pairs need) assignments.

    A list is tried from its top, so that a limit of time or of a score would leave out whatever stands further down:
    there only a short one is, and in a longer one a sampler chooses.

    The number is None where an infinite space is limited by time or by a score alone.
    """
    number, budget = count(space), space.budget.trials
    kind = space.sampler.kind
    if kind == "auto":
        once = count(space, seeds=False) if space.adaptive else number  # each combination has one seed for certain
        most = budget if budget is not None else _SHORT if _ends_early(space.budget) else once
        kind = "exhaustive" if once is not None and most is not None and once <= most else "tpe"
    if kind == "pairwise":
        number = len(pairwise.rows(space))
    trials = [n for n in (number, budget) if n is not None]
    return kind, min(trials, default=None)


def _ends_early(budget: Budget) -> bool:
    """Whether another limit than a number of trials may end a study before everything is tried."""
    return any(limit is not None for limit in (budget.gpu_hours, budget.hours, budget.until, budget.patience))


def stopping(space: SearchSpace) -> PrunerSpec:
    """Who stops early: ``auto`` is decided.

    The median of all trials at the same epoch, where a sampler learns from complete and stopped trials alike. Nobody
    where a list is tried out, for every row of its table is wanted; where seeds are compared, for a mean over those
    that were not stopped flatters; where epochs, image size or share of the data are searched, for an epoch of a
    long schedule is not that of a short one, nor one with more or larger images that with fewer or smaller ones; and
    with two goals, for the pruner sees the score alone.
    """
    if space.pruner.kind != "auto":
        return space.pruner
    alike = space.repeats == 1 and not {"seed", "epochs", "image_size", "train_share"} & space.search.keys()
    if alike and not space.objective.against and planned(space)[0] in ("tpe", "gp"):
        return PrunerSpec("median", {name: one.default for name, one in PRUNERS["median"].items()} | {"per": "none"})
    return PrunerSpec("none")


def _product(sizes: Iterator[int | None]) -> int | None:
    total = 1
    for number in sizes:
        if number is None:
            return None
        total *= number
    return total
