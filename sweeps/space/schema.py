"""A search space that was checked: plain, frozen data that the rest of the program walks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runner.catalog import Parameter
from runner.protocol import Objective, Plugin, Scalar
from sweeps.space.document import ancestors


@dataclass(frozen=True)
class Pick:
    """A name of the catalog that a space chooses; a parameter is a value, or a form to search it by."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Option:
    """One of the things a choice offers.

    Attributes:
        label: what the study stores ("SGD", 0.001, "flip + resize_1280x1024").
        value: what it stands for: a plain value, or for a part its picks (one; several for an augmentation
            applied in order; none for no augmentation).
    """

    label: Scalar
    value: Any

    def forms(self, key: str) -> Iterator[tuple[str, Form]]:
        """(full dotted name, form) of the parameters that exist only while this is chosen for `key`."""
        if isinstance(self.value, tuple) and all(isinstance(pick, Pick) for pick in self.value):
            for pick in self.value:
                for name, value in pick.params.items():
                    if isinstance(value, (Choice, FloatRange, IntRange)):
                        yield self.parameter(key, pick, name), value

    def parameter(self, key: str, pick: Pick, name: str) -> str:
        """ "optimizer.SGD.lr"; inside a list of augmentations the label of the list is in between."""
        inner = f"{pick.name}.{name}" if self.label == pick.name else f"{self.label}.{pick.name}.{name}"
        return f"{key}.{inner}"


@dataclass(frozen=True)
class Choice:
    """One of several, in the order of the file."""

    options: tuple[Option, ...]

    @property
    def labels(self) -> tuple[Scalar, ...]:
        """What the study stores for each option."""
        return tuple(option.label for option in self.options)

    def option(self, label: Scalar) -> Option:
        """The option of a label.

        Raises:
            KeyError: there is none.
        """
        for option in self.options:
            if option.label == label:
                return option
        raise KeyError(label)


@dataclass(frozen=True)
class FloatRange:
    """A real number from low to high (inclusive); with a step only low + n * step."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True)
class IntRange:
    """A whole number from low to high (inclusive), in steps."""

    low: int
    high: int
    log: bool = False
    step: int = 1


Form = Choice | FloatRange | IntRange
SamplerKind = Literal["auto", "exhaustive", "pairwise", "tpe", "random", "qmc", "gp", "nsga2"]
PrunerKind = Literal["auto", "none", "median", "successive_halving", "hyperband", "wilcoxon"]

SAMPLERS: tuple[SamplerKind, ...] = ("auto", "exhaustive", "pairwise", "tpe", "random", "qmc", "gp", "nsga2")
ALSO = {"grid": "exhaustive", "asha": "successive_halving"}  # how others call them
_PER = Parameter(
    "str", "family", choices=("family", "backbone", "model", "none"), help="a trial is compared with those of the same"
)
PRUNERS: Mapping[PrunerKind, Mapping[str, Parameter]] = {
    "auto": {},
    "none": {},
    "median": {
        "startup_trials": Parameter("int", 5, 0, help="trials that finish before any is pruned"),
        "warmup_epochs": Parameter("int", 0, 0, help="epochs in which none is pruned"),
        "interval": Parameter("int", 1, 1, help="epochs between two looks"),
        "per": _PER,
    },
    "successive_halving": {
        "min_epochs": Parameter("int", 1, 1, help="epochs before the first rung"),
        "reduction_factor": Parameter("int", 3, 2, help="one in so many goes on"),
        "per": _PER,
    },
    "hyperband": {
        "min_epochs": Parameter("int", 1, 1, help="epochs before the first rung"),
        "reduction_factor": Parameter("int", 3, 2, help="one in so many goes on"),
        "per": _PER,
    },
    "wilcoxon": {
        "p_threshold": Parameter("float", 0.05, 0, 1, help="chance by which a trial as good as the best is stopped"),
        "warmup_epochs": Parameter("int", 2, 0, help="epochs in which none is pruned"),
        "per": _PER,
    },
}


@dataclass(frozen=True)
class SamplerSpec:
    """Who proposes.

    ``auto`` is exhaustive where all combinations fit the budget, else TPE; ``pairwise`` tries every pair of choices
    in as few trials as it can, of which `shard` (number from 1, of how many) takes a part. ``nsga2`` breeds each
    generation from the best of a `population`.
    """

    kind: SamplerKind = "auto"
    seed: int = 0
    shard: tuple[int, int] = (1, 1)
    population: int = 20


@dataclass(frozen=True)
class PrunerSpec:
    """Who stops hopeless trials early; options are complete, with defaults from PRUNERS.

    ``auto`` is a median over all trials where a sampler learns, else none (`sweeps.space.walk.stopping`).
    """

    kind: PrunerKind = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Budget:
    """When a study ends: trials begun, GPU hours, hours of the clock, a score that was reached, or no more gain.

    Attributes:
        trial_hours: when one trial ends: hours it may train.
        patience: combinations in a row that bring no gain.
        gain: what a rise of the best must exceed to be one, in units of the score; None for the noise between seeds.
    """

    trials: int | None = None
    gpu_hours: float | None = None
    hours: float | None = None
    until: float | None = None
    trial_hours: float | None = None
    patience: int | None = None
    gain: float | None = None


@dataclass(frozen=True)
class SearchSpace:
    """What a study tries.

    Attributes:
        study: its name, usable as the name of a folder.
        data: ``demo``, or the absolute path of a data file.
        objective: what is maximised.
        scale: auto, tiny or standard.
        fixed: part -> tuple of picks, setting -> value.
        search: part or setting -> form, in the order of the file.
        config: dotted path in the rendered MMDetection config -> plain value or form.
        forbid: rules; a combination is forbidden when every key of one rule matches.
        path: the file as the user named it.
        text: the file as it was read, without ``--set``.
        repeats: seeds of each combination; if several, `search` holds them as well.
        notes: lines a user should see: what was dropped, adjusted, or never matches.
        plugins: files of the user's own whose parts are in the catalog.
        adaptive: whether a combination is trained with as many seeds only where its place is close to the first.
        keep: how many of the best trials keep their checkpoints.
        places: dotted key -> (file or ``--set``, line, column) where it was written; `place` looks them up.
    """

    study: str
    data: str
    objective: Objective
    scale: Literal["auto", "tiny", "standard"]
    fixed: Mapping[str, Any]
    search: Mapping[str, Form]
    config: Mapping[str, Any]
    forbid: tuple[Mapping[str, tuple[Scalar, ...]], ...]
    sampler: SamplerSpec
    pruner: PrunerSpec
    budget: Budget
    path: Path
    text: str
    plugins: tuple[Plugin, ...] = ()
    repeats: int = 1
    adaptive: bool = False
    keep: int = 3
    notes: tuple[str, ...] = ()
    places: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)

    def place(self, key: str) -> tuple[str, int, int]:
        """(file or ``--set``, line, column) of a dotted key, or of the nearest above it that was written."""
        return next((self.places[name] for name in ancestors(key) if name in self.places), (str(self.path), 1, 1))

    def option_key(self, key: str, label: Scalar) -> str:
        """The dotted key under which an option of the search entry `key` was written."""
        form = self.search[key]
        number = form.labels.index(label) if isinstance(form, Choice) else 0
        top = f"search.{key}"
        names = (f"{top}[{number}]", f"{top}.choice[{number}]", f"{top}.{label}", f"{top}.choice.{label}")
        return next((name for name in names if name in self.places), top)

    def forms(self) -> dict[str, Form]:
        """All that is searched at the top level: the search entries, then ``config.PATH`` ones."""
        found = dict(self.search)
        for path, value in self.config.items():
            if isinstance(value, (Choice, FloatRange, IntRange)):
                found[f"config.{path}"] = value
        return found


def label_of(value: Any) -> Scalar:
    """What a study stores for a plain value: a scalar itself, a size as "640x512", else its JSON."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(x) is int for x in value):
        return f"{value[0]}x{value[1]}"
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
