"""A space in Optuna's words: what each parameter is chosen from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.space.exclusion import Assignment
from sweeps.space.schema import Choice, FloatRange, Form, SearchSpace
from sweeps.space.walk import on_step, suggest

Refused = Callable[[Assignment], bool]
"""Whether an assignment was tried already, or is forbidden."""


class OptunaSuggester:
    """Answers the space's questions from an Optuna trial."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return self._trial.suggest_categorical(name, choices)

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        """A number from `low` to `high`; with a step the one that is listed, 0.3 and not 0.1 + 2 * 0.1."""
        found = self._trial.suggest_float(name, low, high, log=log, step=step)
        return found if step is None else on_step(found, low, step)

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        """A whole number from `low` to `high`."""
        return self._trial.suggest_int(name, low, high, log=log, step=step)


def distributions(space: SearchSpace, assignment: Assignment) -> dict[str, BaseDistribution]:
    """What each parameter of the assignment was chosen from.

    Raises:
        KeyError: the assignment lacks one.
    """
    forms = _Forms(assignment)
    suggest(space, forms)
    return forms.found


def every_distribution(space: SearchSpace) -> dict[str, BaseDistribution]:
    """What any parameter may be chosen from, those that exist only under some choice included."""
    return dict(pair for name, form in space.forms().items() for pair in _below(name, form))


def _below(name: str, form: Form) -> Iterator[tuple[str, BaseDistribution]]:
    if not isinstance(form, Choice):
        kind = FloatDistribution if isinstance(form, FloatRange) else IntDistribution
        yield name, kind(form.low, form.high, log=form.log, step=form.step)  # type: ignore[arg-type]
        return
    yield name, CategoricalDistribution(form.labels)
    for option in form.options:
        for inner, sub in option.forms(name):
            yield from _below(inner, sub)


class _Forms:
    """Answers with what is given and notes what else it might have been, in Optuna's words."""

    def __init__(self, given: Assignment) -> None:
        self._given = given
        self.found: dict[str, BaseDistribution] = {}

    def categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.found[name] = CategoricalDistribution(choices)
        return self._given[name]

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> Any:
        self.found[name] = FloatDistribution(low, high, log=log, step=step)
        return self._given[name]

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> Any:
        self.found[name] = IntDistribution(low, high, log=log, step=step)
        return self._given[name]
