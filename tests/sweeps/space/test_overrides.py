"""``--set KEY=VALUE``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors
from sweeps.space.schema import Choice, FloatRange, Pick, SearchSpace

TEXT = """\
study: s
data: demo
fixed: {model: htc, epochs: 12}
search:
  optimizer:
    SGD: {momentum: [0.8, 0.9]}
    AdamW:
  lr: {float: [0.001, 0.1], log: true}
budget: {trials: 40}
"""
Set = Callable[..., SearchSpace]


@pytest.fixture
def overridden(tmp_path: Path) -> Set:
    path = tmp_path / "x.yaml"
    path.write_text(TEXT)
    return lambda *overrides: load(path, overrides)


def refused(overridden: Set, *overrides: str) -> list[str]:
    with pytest.raises(SpaceErrors) as caught:
        overridden(*overrides)
    return [problem.text() for problem in caught.value.problems]


def test_values_are_yaml_and_the_last_one_wins(overridden: Set) -> None:
    found = overridden(
        "fixed.epochs=8", "fixed.image_size=[640, 512]", "budget.trials=6", "study=other", "fixed.epochs=9"
    )
    assert (found.study, found.budget.trials) == ("other", 6)
    assert (found.fixed["epochs"], found.fixed["image_size"]) == (9, [640, 512])
    assert found.notes == ()
    assert found.text == TEXT


def test_a_number_with_exponent(overridden: Set) -> None:
    assert overridden("fixed.lr=1e-4").fixed["lr"] == 0.0001


def test_fixing_what_is_searched_drops_the_search(overridden: Set) -> None:
    found = overridden("fixed.optimizer=SGD")
    assert found.fixed["optimizer"] == (Pick("SGD"),)
    assert list(found.search) == ["lr"]
    assert found.notes == ("--set fixed.optimizer=SGD: search.optimizer of the file is dropped",)


def test_fixing_a_parameter_fixes_its_name(overridden: Set) -> None:
    found = overridden("fixed.lr=0.01", "fixed.optimizer.AdamW.weight_decay=0.001", "fixed.optimizer.AdamW.beta1=0.8")
    assert found.fixed["optimizer"] == (Pick("AdamW", {"weight_decay": 0.001, "beta1": 0.8}),)
    assert dict(found.search) == {}
    switched = overridden("fixed.optimizer=SGD", "fixed.optimizer.AdamW.beta1=0.8")
    assert switched.fixed["optimizer"] == (Pick("AdamW", {"beta1": 0.8}),)


def test_searching_what_is_fixed_drops_the_fixed_value(overridden: Set) -> None:
    found = overridden("search.epochs=[4, 8]")
    assert "epochs" not in found.fixed
    assert found.notes == ("--set search.epochs=[4, 8]: fixed.epochs of the file is dropped",)


def test_a_range_inside_a_form(overridden: Set) -> None:
    assert overridden("search.lr.float=[1e-4, 1e-2]").search["lr"] == FloatRange(0.0001, 0.01, log=True)


def test_opening_a_list_of_names(overridden: Set) -> None:
    form = overridden("search.optimizer=[SGD, Adadelta]", "search.optimizer.SGD.momentum=[0.5]").search["optimizer"]
    assert isinstance(form, Choice)
    assert form.labels == ("SGD", "Adadelta")
    assert [name for name, _ in form.options[0].forms("optimizer")] == ["optimizer.SGD.momentum"]


def test_a_list_of_values_becomes_a_range(overridden: Set) -> None:
    found = overridden("search.lr=[0.1, 0.2]", "search.lr.float=[0.1, 0.2]")
    assert found.search["lr"] == FloatRange(0.1, 0.2)


def test_a_path_of_the_config_is_one_key(overridden: Set) -> None:
    found = overridden("config.model.rpn_head.loss=3", "config.+x.y={choice: [1, 2]}")
    assert found.config["model.rpn_head.loss"] == 3
    assert list(found.forms()) == ["optimizer", "lr", "config.+x.y"]


def test_paths_are_relative_to_the_current_folder(
    tmp_path: Path, overridden: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    Path("mine.yaml").write_text("train: {images: ., annotations: labels.json}\nval: {split: 0.2}\n")
    Path("labels.json").write_text("")
    assert overridden("data=mine.yaml").data == str(here / "mine.yaml")


def test_mistakes_name_the_option_by_its_number(overridden: Set) -> None:
    assert refused(overridden, "budget.trials=3", "fixed.epochs=many", "fixed.modle=htc") == [
        "--set:2:1: fixed.epochs: expected a whole number, found 'many'",
        "--set:3:1: fixed.modle: unknown key modle; did you mean model?",
    ]
    assert refused(overridden, "search.lr.float=[1, 0.1]") == [
        "--set:1:1: search.lr.float: expected low below high, found low 1 and high 0.1; write [0.1, 1]"
    ]


def test_a_mistake_that_is_left_of_the_file_keeps_its_place(overridden: Set) -> None:
    assert refused(overridden, "fixed.lr=1", "fixed.optimizer.SGD.lr=1")[0].startswith(
        "--set:2:1: fixed.optimizer.SGD.lr"
    )
    found = refused(overridden, "search.optimizer.AdamW.beta1=7", "search.optimizer.SGD.lr=1")
    assert found == [
        "--set:1:1: search.optimizer.AdamW.beta1: expected a number from 0 to 0.9999, found 7",
        "--set:2:1: search.optimizer.SGD.lr: the learning rate is given here and as search.lr; leave one of them out",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fixed.epochs", "--set:1:1: expected KEY=VALUE, found fixed.epochs; write e.g. fixed.epochs=8"),
        ("=8", "--set:1:1: expected KEY=VALUE, found =8; write e.g. fixed.epochs=8"),
        ("fixed..epochs=8", "--set:1:1: expected KEY=VALUE, found fixed..epochs=8; "
                            "write e.g. fixed.epochs=8"),
        ("fixed.epochs=[1", "--set:1:1: fixed.epochs: YAML syntax: expected ',' or ']', but got "
                            "'<stream end>' (while parsing a flow sequence that begins at 1:1)"),
        ("fixed.epochs=!!python/object:x {}", "--set:1:1: fixed.epochs: the tag !!python/object:x "
                                              "is not allowed; write plain values"),
        ("fixd.epochs=8", "--set:1:1: fixd: unknown key fixd; did you mean fixed?"),
    ],
)  # fmt: skip
def test_refused(overridden: Set, text: str, message: str) -> None:
    assert refused(overridden, text) == [message]


def test_a_key_inside_a_list(overridden: Set) -> None:
    assert refused(
        overridden, "fixed.augmentation=[flip, resize_1024x1024]", "fixed.augmentation.flip.probability=0.3"
    ) == [
        "--set:2:1: fixed.augmentation: expected the whole list, found the key flip in it; "
        "write fixed.augmentation=[...]"
    ]
