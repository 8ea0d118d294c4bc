"""Lists of augmentations: what may stand in one, how often, and with which parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors
from sweeps.space.resolve import resolve
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import assignments, first

Load = Callable[[str], SearchSpace]


@pytest.fixture
def space(tmp_path: Path) -> Load:
    def make(augmentation: str) -> SearchSpace:
        path = tmp_path / "x.yaml"
        path.write_text(f"study: s\ndata: demo\n{augmentation}\n")
        return load(path)

    return make


def test_a_list_keeps_order_and_parameters(space: Load) -> None:
    found = space("fixed: {augmentation: [rotate, {brightness: {probability: 0.3}}, resize_1280x1024]}\nconfig: {a: 1}")
    parts = resolve(found, first(found), "standard", 100)[0].augmentation
    assert [part.name for part in parts] == ["rotate", "brightness", "resize_1280x1024"]
    assert parts[0].params == {"probability": 0.5, "max_degrees": 30.0}
    assert parts[1].params == {"probability": 0.3, "min_magnitude": 0.5, "max_magnitude": 1.5}


def test_a_name_may_stand_twice_with_parameters_of_its_own(space: Load) -> None:
    twice = "[flip: {probability: 0.2}, flip: {probability: 0.4, direction: vertical}]"
    for text in (f"fixed: {{augmentation: {twice}}}\nconfig: {{a: 1}}", f"search: {{augmentation: [none, {twice}]}}"):
        found = space(text)
        *_, last = assignments(found)
        parts = resolve(found, last, "tiny", 100)[0].augmentation
        assert [(p.params["probability"], p.params["direction"]) for p in parts] == [
            (0.2, "horizontal"), (0.4, "vertical"),
        ]  # fmt: skip


def test_one_of_two_equal_names_may_be_searched(space: Load) -> None:
    found = space("search: {augmentation: [[flip: {probability: [0.1, 0.9]}, flip: {direction: vertical}]]}")
    parts = [resolve(found, a, "tiny", 100)[0].augmentation for a in assignments(found)]
    assert [[p.params["probability"] for p in each] for each in parts] == [[0.1, 0.5], [0.9, 0.5]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("fixed: {augmentation: [all, flip, all]}", "3:9: fixed.augmentation: expected all once, found it 2 times"),
        (
            "search: {augmentation: [[mosaic: {probability: 0.2}, flip, mosaic: {probability: 0.4}]]}",
            "3:25: search.augmentation[0]: expected mosaic once, found it 2 times",
        ),
        (
            "fixed: {augmentation: {mosaic: {max_scale: 2}}}",
            "3:33: fixed.augmentation.mosaic.max_scale: expected a number from 0.5 to 1, found 2",
        ),
        (
            "fixed: {augmentation: {rotate: {degrees: 20}}}",
            "3:33: fixed.augmentation.rotate.degrees: rotate has no parameter degrees; did you mean max_degrees?",
        ),
    ],
)
def test_what_is_refused(space: Load, text: str, line: str) -> None:
    with pytest.raises(SpaceErrors) as caught:
        space(text)
    assert str(caught.value).split("x.yaml:")[1] == line
