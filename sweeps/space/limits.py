"""What the catalog says cannot work together, as far as a space would try it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.catalog import PARTS, Limit, catalog_limits
from runner.protocol import Part, Scalar, Scale
from sweeps.space.exclusion import first_allowed, matching, names
from sweeps.space.problems import SpaceProblem, shown
from sweeps.space.resolve import resolve
from sweeps.space.schema import Choice, FloatRange, IntRange, SearchSpace, label_of
from sweeps.space.walk import Given, suggest

_ANY_IMAGES = 100  # training images: what depends on their number is in no limit
_MANY = 6  # names in a message; the remedy has them all
Fits = Callable[[Any], bool]
Labels = dict[str, tuple[Scalar, ...]]  # searched choice -> those in question


def limits(space: SearchSpace, scale: Scale) -> list[SpaceProblem]:
    """One mistake for each limit of the catalog that something in the space runs into.

    Args:
        space: checked otherwise; something in it is allowed.
        scale: the one that the study would run at.
    """
    applying = [limit for limit in catalog_limits() if limit.scale in (None, scale)]
    return [problem for limit in applying for problem in _Met(space, scale, limit).problems()]


def contradictions(space: SearchSpace, scale: Scale) -> list[SpaceProblem]:
    """One mistake for each name whose parameters, as the space gives them, cannot stand together.

    Only where all of them are given: what is searched may be right for other values.
    """
    problems = []
    for part in PARTS:
        form = space.search.get(part)
        if isinstance(form, Choice):
            given = [(space.option_key(part, option.label), option.value) for option in form.options]
        else:
            given = [(f"fixed.{part}", space.fixed.get(part, ()))]
        for key, pick in ((key, pick) for key, picks in given for pick in picks):
            if not any(isinstance(value, (Choice, FloatRange, IntRange)) for value in pick.params.values()):
                entry = PARTS[part][pick.name]
                defaults = {name: parameter.at(scale) for name, parameter in entry.parameters.items()}
                if problem := entry.contradiction({**defaults, **pick.params}):
                    problems.append(SpaceProblem(*space.place(key), key, problem))
    return problems


@dataclass(frozen=True)
class _Met:
    """One limit held against one space."""

    space: SearchSpace
    scale: Scale
    limit: Limit

    def problems(self) -> Iterator[SpaceProblem]:
        """None where the rules keep the space clear of it, several where defaults meet it in several ways."""
        for ways in itertools.product(*(self._ways(key) for key in self._keys())):
            labels: Labels = {}
            for searched, found in ((key, found) for way in ways for key, found in way.items()):
                labels[searched] = tuple(label for label in found if label in labels.get(searched, found))
            if all(labels.values()) and first_allowed(self.space, labels) is not None:
                yield self._problem(labels)

    def _problem(self, labels: Labels) -> SpaceProblem:
        labels = {  # of what the rules leave
            key: tuple(label for label in found if first_allowed(self.space, {**labels, key: [label]}) is not None)
            for key, found in labels.items()
        }
        where = self._where(labels)
        scale = f" at scale {self.scale}" if self.limit.scale else ""
        who = " with ".join(self._words(key, labels) for key in self._keys())
        message = f"{who} cannot work{scale}: {self.limit.reason}"
        return SpaceProblem(*self.space.place(where), where, message, self._remedy(labels))

    def _keys(self) -> Sequence[str]:
        return [*self.limit.when, *self.limit.above, *self.limit.below]

    def _fits(self, key: str) -> Fits:
        """Whether a value (of a part: a name) is one the limit speaks of."""
        if key in self.limit.when:
            return self.limit.when[key].__contains__
        if key in self.limit.above:
            return lambda value: isinstance(value, (int, float)) and value > self.limit.above[key]
        return lambda value: isinstance(value, (int, float)) and value < self.limit.below[key]

    def _ways(self, key: str) -> list[Labels]:
        """Each a way in which `key` fits: searched choice -> labels. None where it never does."""
        form, fits = self.space.search.get(key), self._fits(key)
        if isinstance(form, Choice):
            return [{key: matching(self.space, key, fits)}]
        if isinstance(form, (FloatRange, IntRange)):
            values = [value for value in self.limit.when.get(key, ()) if isinstance(value, (int, float))]
            inside = any(form.low <= value <= form.high for value in values)
            beyond = key not in self.limit.when and (fits(form.low) or fits(form.high))
            return [{}] if inside or beyond else []
        if key in self.space.fixed:
            return [{}] if any(map(fits, names(self.space.fixed[key]))) else []
        alike: dict[tuple[Scalar, ...], list[Scalar]] = {}
        for model, backbones in self._backbones(key, fits).items():
            alike.setdefault(backbones, []).append(model)
        ways = ({"model": tuple(models), "backbone": backbones} for backbones, models in alike.items() if backbones)
        return [{part: found for part, found in way.items() if set(found) != {*self._labels(part)}} for way in ways]

    def _labels(self, part: str) -> tuple[Scalar, ...]:
        """Labels of a searched part; (None,) where it is not searched."""
        form = self.space.search.get(part)
        return form.labels if isinstance(form, Choice) else (None,)

    def _backbones(self, key: str, fits: Fits) -> dict[Scalar, tuple[Scalar, ...]]:
        """Label of a model -> labels of the backbones with which the default of `key` fits."""
        return {
            model: tuple(label for label in self._labels("backbone") if fits(self._default(key, model, label)))
            for model in self._labels("model")
        }

    def _default(self, key: str, model: Scalar, backbone: Scalar) -> Scalar:
        """What holds for a key that the space leaves open: some defaults follow model and backbone."""
        given = {part: label for part, label in (("model", model), ("backbone", backbone)) if part in self.space.search}
        combination, _ = resolve(self.space, suggest(self.space, Given(given)), self.scale, _ANY_IMAGES)
        if key == "epochs":  # at tiny these follow the data
            return None
        value = getattr(combination, key) if key in PARTS else combination.settings.get(key)
        parts = value if isinstance(value, tuple) else (value,)
        return next((part.name if isinstance(part, Part) else label_of(value) for part in parts), "none")

    def _words(self, key: str, labels: Labels) -> str:
        """ "optimizer LBFGS", "accumulate 2 or 4", "accumulate above 1", "backbone resnet50 (the default)"."""
        if isinstance(self.space.search.get(key), (FloatRange, IntRange)):
            values = [shown(value) for value in self.limit.when.get(key, ())]
            for word, bounds in (("above", self.limit.above), ("below", self.limit.below)):
                values += [f"{word} {bounds[key]:g}"] if key in bounds else []
            return f"{key} {' or '.join(values)}"
        if key in self.space.search:
            found = [shown(name) for name in self._named(key, labels)]
            found = found if len(found) <= _MANY else [*found[:_MANY], f"{len(found) - _MANY} others"]
            return f"{key} {' or '.join(found)}"
        if key in self.space.fixed:
            return f"{key} {' + '.join(shown(n) for n in names(self.space.fixed[key]) if self._fits(key)(n))}"
        rows = itertools.product(*(labels.get(part) or self._labels(part) for part in ("model", "backbone")))
        defaults = {shown(value) for row in rows if self._fits(key)(value := self._default(key, *row))}
        return f"{key} {' or '.join(sorted(defaults))} (the default)"

    def _named(self, key: str, labels: Labels) -> list[Scalar]:
        """What a rule would name of a choice's labels: of a list of augmentations those the limit speaks of."""
        form = self.space.search[key]
        assert isinstance(form, Choice)
        fits: Fits = self._fits(key) if key in self._keys() else lambda _: True
        found = [name for label in labels[key] for name in names(form.option(label).value) if fits(name)]
        return list(dict.fromkeys(found))

    def _where(self, labels: Labels) -> str:
        """The key that tells most: the choice with the fewest labels in question, else what is written at all."""
        if labels:
            key = min(labels, key=lambda key: len(labels[key]))
            return self.space.option_key(key, labels[key][0])
        written = [f"{section}.{key}" for section in ("search", "fixed") for key in self._keys()]
        written += ["search.model", "fixed.model", "search", "fixed"]  # a default: the model says most about it
        return next((key for key in written if key in self.space.places), "")

    def _remedy(self, labels: Labels) -> str:
        rule = {key: tuple(self._named(key, labels)) for key in labels}
        if rule and first_allowed(self.space, rules=[rule]) is not None:
            inner = ", ".join(f"{key}: {_listed(found)}" for key, found in rule.items())
            return f"write under forbid: - {{{inner}}}"
        written = [key for key in self._keys() if key in self.space.fixed or key in self.space.search]
        return f"choose another {' or another '.join(written or self._keys())}"


def _listed(found: Sequence[Scalar]) -> str:
    texts = [shown(value) for value in found]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
