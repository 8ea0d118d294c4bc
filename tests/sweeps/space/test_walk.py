"""Counting, listing and asking; conditional parameters exist only where their name is chosen."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from runner.protocol import Scalar
from sweeps.space.exclusion import forbidden
from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors
from sweeps.space.resolve import resolve
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import assignments, count, first, planned, stopping, suggest

Load = Callable[[str], SearchSpace]


@pytest.fixture
def space(tmp_path: Path) -> Load:
    def make(text: str) -> SearchSpace:
        path = tmp_path / "x.yaml"
        path.write_text(f"study: s\ndata: demo\n{text}\n")
        return load(path)

    return make


class Last:
    """Chooses the last of everything and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        self.asked.append((name, tuple(choices)))
        return choices[-1]

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        self.asked.append((name, low, high, log, step))
        return high

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        self.asked.append((name, low, high, log, step))
        return high


def test_the_last_key_varies_fastest_and_the_first_name_comes_first(space: Load) -> None:
    found = space("search: {model: [scnet, htc], lr: [0.1, 0.01]}")
    assert list(assignments(found)) == [
        {"model": "scnet", "lr": 0.1},
        {"model": "scnet", "lr": 0.01},
        {"model": "htc", "lr": 0.1},
        {"model": "htc", "lr": 0.01},
    ]


def test_nested_parameters_only_under_their_name(space: Load) -> None:
    found = space(
        "search:\n  optimizer:\n    SGD: {lr: [0.1, 0.2], momentum: [0.9]}\n    AdamW:\n"
        "    Adadelta: {rho: [0.8]}\n  seed: [0, 1]\n"
    )
    first_three = [
        {"optimizer": "SGD", "optimizer.SGD.lr": 0.1, "optimizer.SGD.momentum": 0.9, "seed": 0},
        {"optimizer": "SGD", "optimizer.SGD.lr": 0.1, "optimizer.SGD.momentum": 0.9, "seed": 1},
        {"optimizer": "SGD", "optimizer.SGD.lr": 0.2, "optimizer.SGD.momentum": 0.9, "seed": 0},
    ]
    listed = list(assignments(found))
    assert listed[:3] == first_three
    assert listed[4:] == [
        {"optimizer": "AdamW", "seed": 0},
        {"optimizer": "AdamW", "seed": 1},
        {"optimizer": "Adadelta", "optimizer.Adadelta.rho": 0.8, "seed": 0},
        {"optimizer": "Adadelta", "optimizer.Adadelta.rho": 0.8, "seed": 1},
    ]
    assert (count(found), count(found, seeds=False)) == (8, 4)


def test_ranges_with_steps_are_finite(space: Load) -> None:
    found = space("search: {lr: {float: [0.1, 0.3], step: 0.1}, epochs: {int: [1, 7], step: 3}}")
    assert [(a["lr"], a["epochs"]) for a in assignments(found)][:4] == [
        (0.1, 1),
        (0.1, 4),
        (0.1, 7),
        (0.2, 1),
    ]
    assert count(found) == 9


def test_infinite_spaces(space: Load) -> None:
    for text in (
        "search: {lr: {float: [0.1, 0.3]}}",
        "search: {seed: {int: [0, 100000]}}",
        "search: {optimizer: {SGD: {lr: {float: [0.1, 1]}}, AdamW: }}",
    ):
        found = space(text + "\nbudget: {trials: 5}")
        assert count(found) is None
        walk = assignments(found)
        assert next(walk) == first(found)
        with pytest.raises(ValueError, match="the space is infinite"):
            next(walk)


def test_the_first_of_an_infinite_space_is_not_a_forbidden_one(space: Load) -> None:
    found = space("search: {model: [htc, scnet], lr: {float: [0.1, 1]}}\nforbid: [{model: htc}]\nbudget: {trials: 3}")
    assert first(found) == {"model": "scnet", "lr": 0.1}


def test_nothing_to_search_is_one_combination(space: Load) -> None:
    found = space("fixed: {model: htc}")
    assert (count(found), list(assignments(found)), first(found)) == (1, [{}], {})


def test_forbidden_when_every_key_of_one_rule_matches(space: Load) -> None:
    found = space(
        "fixed: {backbone: resnet18}\nsearch: {model: [htc, scnet, solov2], optimizer: [SGD, AdamW]}\n"
        "forbid:\n  - {model: [htc, scnet], optimizer: SGD}\n  - {model: solov2, backbone: resnet50}\n"
        "  - {model: solov2, backbone: resnet18, optimizer: AdamW}\n"
    )
    assert list(assignments(found)) == [
        {"model": "htc", "optimizer": "AdamW"},
        {"model": "scnet", "optimizer": "AdamW"},
        {"model": "solov2", "optimizer": "SGD"},
    ]
    assert (count(found), count(found, allowed=False)) == (3, 6)


def test_a_rule_about_an_augmentation_finds_it_in_a_list(space: Load) -> None:
    found = space(
        "search: {augmentation: [none, flip, [flip, resize_1024x1024]], model: [htc, scnet], "
        "image_size: [64, [64, 32]]}\n"
        "forbid: [{augmentation: flip, model: htc}, {augmentation: none}]"
    )
    labels = {(a["augmentation"], a["model"]) for a in assignments(found)}
    assert labels == {("flip", "scnet"), ("flip + resize_1024x1024", "scnet")}
    assert count(found) == 4


def test_a_suggester_is_asked_in_the_order_of_the_file(space: Load) -> None:
    found = space(
        "search:\n  epochs: {int: [2, 8], log: true}\n"
        "  optimizer:\n    SGD:\n    AdamW: {lr: {float: [1e-4, 1e-2], log: true}}\n"
        "  augmentation: [flip, [resize_1024x1024, flip: {probability: {float: [0.1, 0.9], step: 0.2}}]]\n"
        "config: {a.b: {choice: [1, [2]]}}\nbudget: {trials: 3}"
    )
    last = Last()
    assert suggest(found, last) == {
        "epochs": 8,
        "optimizer": "AdamW",
        "optimizer.AdamW.lr": 0.01,
        "augmentation": "resize_1024x1024 + flip",
        "augmentation.resize_1024x1024 + flip.flip.probability": 0.9,
        "config.a.b": "[2]",
    }
    assert last.asked == [
        ("epochs", 2, 8, True, 1),
        ("optimizer", ("SGD", "AdamW")),
        ("optimizer.AdamW.lr", 0.0001, 0.01, True, None),
        ("augmentation", ("flip", "resize_1024x1024 + flip")),
        ("augmentation.resize_1024x1024 + flip.flip.probability", 0.1, 0.9, False, 0.2),
        ("config.a.b", (1, "[2]")),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search: {lr: [1, 2, 3]}", ("exhaustive", 3)),
        ("search: {lr: [1, 2, 3]}\nbudget: {trials: 9}", ("exhaustive", 3)),
        ("search: {lr: [1, 2, 3]}\nbudget: {trials: 2}", ("tpe", 2)),
        ("search: {lr: [1, 2, 3]}\nsampler: {kind: random}\nbudget: {trials: 9}", ("random", 3)),
        ("search: {lr: {float: [1, 2]}}\nbudget: {trials: 9}", ("tpe", 9)),
        ("search: {lr: {float: [1, 2]}}\nbudget: {hours: 8}", ("tpe", None)),
        ("search: {lr: {float: [1, 2]}}\nbudget: {until: 0.6}", ("tpe", None)),
        ("search: {batch_size: {int: [1, 30]}}\nbudget: {gpu_hours: 8}", ("exhaustive", 30)),
        ("search: {batch_size: {int: [1, 31]}}", ("exhaustive", 31)),
        ("search: {batch_size: {int: [1, 31]}}\nbudget: {gpu_hours: 8}", ("tpe", 31)),
        ("search: {batch_size: {int: [1, 31]}}\nbudget: {patience: 8}", ("tpe", 31)),
        ("search: {batch_size: {int: [1, 31]}}\nbudget: {trials: 40, patience: 8}", ("exhaustive", 31)),
    ],
)
def test_who_proposes_how_many(space: Load, text: str, expected: tuple[str, int | None]) -> None:
    assert planned(space(text)) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("search: {lr: [1, 2, 3]}", "none"),
        ("search: {lr: [1, 2, 3]}\nbudget: {trials: 2}", "median"),
        ("search: {lr: {float: [1, 2]}}\nbudget: {hours: 8}", "median"),
        ("search: {lr: [1, 2, 3]}\nsampler: {kind: gp}", "median"),
        ("search: {lr: [1, 2, 3]}\nsampler: {kind: random}\nbudget: {trials: 2}", "none"),
        ("search: {lr: [1, 2, 3]}\nbudget: {trials: 2}\npruner: {kind: none}", "none"),
        ("search: {lr: [1, 2, 3]}\nbudget: {trials: 2}\npruner: {kind: asha}", "successive_halving"),
        ("search: {lr: [1, 2, 3]}\nbudget: {trials: 2}\nrepeats: 2", "none"),
        ("search: {lr: [1, 2, 3]}\nbudget: {trials: 2}\nrepeats: {most: 3}", "none"),
        ("search: {lr: [1, 2, 3], seed: [0, 1]}\nbudget: {trials: 2}", "none"),
        ("search: {lr: [1, 2, 3], epochs: [4, 8]}\nbudget: {trials: 2}", "none"),
        ("search: {lr: [1, 2, 3], image_size: [64, 128]}\nbudget: {trials: 2}", "none"),
        ("search: {lr: [1, 2, 3], train_share: [0.5, 1]}\nbudget: {trials: 2}", "none"),
        ("objective: [segm_mAP, parameters]\nsearch: {lr: [1, 2, 3]}\nbudget: {trials: 2}", "none"),
    ],
)
def test_who_stops_early(space: Load, text: str, kind: str) -> None:
    found = stopping(space(text))
    assert found.kind == kind
    assert kind != "median" or found.options["per"] == "none"


def _floats() -> st.SearchStrategy[Any]:
    return st.lists(st.integers(1, 99).map(lambda n: n / 100), min_size=1, max_size=3, unique=True)


def _range() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda low, n, step: {"float": [low / 100, (low + n * step) / 100], "step": step / 100},
        st.integers(1, 50), st.integers(1, 3), st.integers(1, 9),
    )  # fmt: skip


def _names(names: Sequence[str]) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)


def _optimizers() -> st.SearchStrategy[Any]:
    nested = st.one_of(st.none(), st.fixed_dictionaries({}, optional={"weight_decay": _floats() | _range()}))
    return st.dictionaries(st.sampled_from(["SGD", "AdamW", "Adadelta"]), nested, min_size=1)


def _augmentations() -> st.SearchStrategy[Any]:
    flip = st.builds(lambda p: {"flip": {"probability": p}}, _floats())
    item = st.sampled_from(["none", "flip", "resize_1024x1024", ["flip", "resize_1333x800"]]) | flip
    return st.lists(item, min_size=1, max_size=4, unique_by=lambda x: json.dumps(x) if "p" not in str(x) else "p")


_SEARCH = st.fixed_dictionaries(
    {},
    optional={
        "model": _names(["mask_rcnn", "htc", "scnet", "solov2"]),
        "backbone": _names(["resnet18", "resnet50", "resnext101_32x4d"]),
        "optimizer": _optimizers(),
        "augmentation": _augmentations(),
        "epochs": st.lists(st.integers(1, 20), min_size=1, max_size=3, unique=True),
        "lr": _floats() | _range(),
        "seed": st.lists(st.integers(0, 5), min_size=1, max_size=2, unique=True),
        "image_size": st.just([64, [64, 32]]),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_valid_space_is_counted_and_listed_without_repeats(data: st.DataObject) -> None:
    search = data.draw(_SEARCH)
    document: dict[str, Any] = {"study": "s", "data": "demo", "fixed": {"batch_size": 2}, "search": search}
    document["config"] = data.draw(st.sampled_from([{}, {"a.b": {"choice": [1, [2], None]}}, {"c": [1]}]))
    ruled = [key for key in ("model", "backbone", "epochs") if key in search]
    rule = st.fixed_dictionaries({}, optional={key: st.sampled_from(search[key]) for key in ruled})
    document["forbid"] = data.draw(st.lists(rule.filter(bool), max_size=3)) if ruled else []
    document["search"] = dict(data.draw(st.permutations(list(search.items()))))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(json.dumps(document))  # JSON is YAML
        try:
            space = load(path)
        except SpaceErrors as error:
            assume("forbid every combination" not in str(error))
            raise
    listed = list(assignments(space))
    assert len(listed) == count(space)
    assert len({json.dumps(a, sort_keys=True) for a in listed}) == len(listed)
    assert not any(forbidden(space, a) for a in listed)
    assert listed[0] == first(space)
    trained = [resolve(space, a, "tiny", 40) for a in listed[:200]]
    assert len({(c.digest(), seed) for c, seed in trained}) == len(trained)
