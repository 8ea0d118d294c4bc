"""What a sampler tries first: MMDetection's own defaults, as far as a space offers them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from runner.catalog import PARTS, SETTINGS
from runner.protocol import Combination, Part, Scalar, Scale
from sweeps.space.exclusion import Assignment, first_allowed
from sweeps.space.resolve import (
    DEFAULT_AUGMENTATION,
    DEFAULT_MODEL,
    DEFAULT_SCHEDULE,
    default_backbone,
    default_optimizer,
    resolve,
)
from sweeps.space.schema import Choice, FloatRange, IntRange, Option, Pick, SearchSpace
from sweeps.space.walk import on_step, suggest


def opening(space: SearchSpace, scale: Scale, n_train: int) -> Assignment:
    """The default of every choice where it is offered, else its first option; of a range the nearest to the default.

    A default that leaves MMDetection's value as it is means that value, or a range's middle where it is not one value.
    Where the rules forbid that, what they allow instead: the last in the file gives way first.

    Args:
        space: a checked space.
        scale: which defaults hold.
        n_train: number of training images, which the default number of epochs follows at tiny.
    """
    bare = left_open(space, PARTS)
    labels = _parts(space, scale)
    defaults, _ = resolve(bare, labels, scale, n_train)
    choices = {key: form for key, form in space.search.items() if isinstance(form, Choice)}
    labels |= {key: _offered(form, key, defaults) for key, form in choices.items() if key not in PARTS}
    order = {key: sorted(form.labels, key=labels[key].__ne__) for key, form in choices.items()}
    labels |= first_allowed(space, order) or {}
    defaults, _ = resolve(bare, labels, scale, n_train)
    return suggest(space, _Wanted({**labels, **dict(_numbers(space, labels, defaults))}))


def left_open(space: SearchSpace, given: Collection[str]) -> SearchSpace:
    """The space with all that is searched left out but what is given, by the full names of the study's parameters."""

    def kept(key: str, option: Option) -> Option:
        if key not in PARTS:
            return option
        return Option(option.label, tuple(_without(option, key, pick, given) for pick in option.value))

    search = {
        key: Choice(tuple(kept(key, one) for one in form.options)) if isinstance(form, Choice) else form
        for key, form in space.search.items()
        if key in given
    }
    open_ = {name for name in space.forms() if name not in given}
    return replace(space, search=search, config={k: v for k, v in space.config.items() if f"config.{k}" not in open_})


def _without(option: Option, key: str, pick: Pick, given: Collection[str]) -> Pick:
    left = {name for name, value in pick.params.items() if isinstance(value, (Choice, FloatRange, IntRange))}
    left -= {name for name in left if option.parameter(key, pick, name) in given}
    return replace(pick, params={name: value for name, value in pick.params.items() if name not in left})


def _parts(space: SearchSpace, scale: Scale) -> Assignment:
    """The label of each part that is searched: a backbone's default depends on the model, an optimizer's on both."""
    found: Assignment = {}

    def name(part: str, default: str) -> str:
        form = space.search.get(part)
        if not isinstance(form, Choice):
            return str(space.fixed[part][0].name) if space.fixed.get(part) else default
        names = {option.label: [pick.name for pick in option.value] for option in form.options}
        found[part] = next((label for label, one in names.items() if one == [default]), form.labels[0])
        return str((names[found[part]] or [default])[0])

    model = name("model", DEFAULT_MODEL)
    backbone = name("backbone", default_backbone(model, scale))
    name("augmentation", DEFAULT_AUGMENTATION)
    name("optimizer", default_optimizer(model, backbone, scale))
    name("schedule", DEFAULT_SCHEDULE)
    return found


def _offered(form: Choice, key: str, defaults: Combination) -> Scalar:
    """The label of a setting's default, or the first."""
    wanted = _setting(key, defaults)
    same = [option.label for option in form.options if wanted in (option.value, [option.value] * 2)]
    return (same or form.labels)[0]


def _setting(key: str, defaults: Combination) -> Any:
    found = defaults.optimizer.params.get("lr") if key == "lr" else defaults.settings.get(key)
    if found is None:  # nobody says: the catalog's, else MMDetection's own
        found = SETTINGS[key].default if SETTINGS[key].default is not None else SETTINGS[key].own
    return found


def _near(wanted: Any, low: float, high: float, log: bool) -> float:
    if not isinstance(wanted, (int, float)) or isinstance(wanted, bool):
        return math.sqrt(low * high) if log else (low + high) / 2
    return min(max(wanted, low), high)


def _numbers(space: SearchSpace, labels: Assignment, defaults: Combination) -> Iterator[tuple[str, Any]]:
    """Full name -> default of settings, and of the parameters of what is chosen."""
    for key, form in space.search.items():
        if not isinstance(form, Choice):
            yield key, _setting(key, defaults)
        elif key in PARTS:
            option = form.option(labels[key])
            trained = getattr(defaults, key)
            parts: Sequence[Part] = trained if isinstance(trained, tuple) else (trained,)
            for pick, part in zip(option.value, parts, strict=True):
                own = PARTS[key][pick.name].parameters
                for name in pick.params:
                    found = part.params.get(name)
                    yield option.parameter(key, pick, name), own[name].own if found is None else found


class _Wanted:
    """Gives what is wanted where it is offered, else the first name, the nearest number, the middle."""

    def __init__(self, wanted: Assignment) -> None:
        self._wanted = wanted

    def categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        wanted = self._wanted.get(name, choices[0])
        return wanted if wanted in choices else choices[0]

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        found = 1.0 * _near(self._wanted.get(name), low, high, log)
        return found if step is None else on_step(found, low, step)

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        return low + round((_near(self._wanted.get(name), low, high, log) - low) / step) * step
