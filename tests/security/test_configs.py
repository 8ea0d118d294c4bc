"""Texts of a space, of people and of machines in the config files we write: they stay texts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from made_up import Bench, data, run
from mmengine.config import Config

from results.export import config_text
from results.records import StudyRecord, TrialRecord
from runner.configfile import from_text, to_text
from runner.errors import UserError
from runner.protocol import Combination, DataPaths, Objective
from runner.render import render
from runner.standalone import without_plugins
from sweeps.leases.coordinator import Coordinator
from sweeps.space import travel
from sweeps.space.loader import load

# What Python, MMEngine, YAML, a shell or an editor could take for more than a text.
PIECES = [
    "'", '"', "'''", '"""', "\\", "\\'", "\n", "\r", "\r\n", "\t", "\0", "\x0c", "\x1a", "\x85", "\u2028", "\u2029",
    "\ufeff", "\u202e", "{", "}", "{{", "}}", "{{ fileDirname }}", "{{_base_.model}}", "{{$HOME:x}}", "{{ $HOME:x }}",
    "{{$NOWHERE:", "$", "${HOME}", "%s", "%(a)s", "#",
    "# -*- coding: utf-7 -*-", "+AGE-", ";", ",", ")", "]", ":", "f'",
    "b'", "\\x", "\\N{", "\\u2028", "__import__('os').system('touch PWNED')", "\nimport os; os.system('touch PWNED')\n",
    "!!python/name:os.system", "&a", "*a", "<<", "- ", "? ", "| ", "> ", "%YAML", "---", "...", "입자", "é", "e\u0301",
    "\U0001d54f", "x" * 200, " " * 90,
]  # fmt: skip
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=8).map("".join)
VALUE = st.recursive(
    TEXT | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
CALM = settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=3000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
NASTY = "".join(PIECES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where commands of a text that became code would leave their mark."""
    made, before = tmp_path_factory.mktemp("configs"), Path.cwd()
    os.environ.pop("NOWHERE", None)
    os.chdir(made)
    yield made
    os.chdir(before)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyRecord, TrialRecord, Combination]:
    """A study, a complete trial of it, and what that trained."""
    with Bench(tmp_path_factory.mktemp("bench")).study() as study:
        run(Coordinator(study), trials=1)
        row = study.row(0)
        return study.record, row, Combination.model_validate(row.parts)


def read(text: str, folder: Path) -> dict[str, Any]:
    """What MMEngine makes of it."""
    path = folder / "config.py"
    path.write_text(text, encoding="utf-8", newline="")
    plain: dict[str, Any] = Config.fromfile(path).to_dict()
    return plain


def check_config(done: tuple[StudyRecord, TrialRecord, Combination], folder: Path, text: str, value: Any) -> None:
    combination = done[2].model_copy(
        update={
            "settings": {**done[2].settings, "pretrained": f"/{text}.pth"},
            "config": {"+note": value, "+deep": {"a": [text, {text: value}]}, "model.type": text, "+one.more": text},
        }
    )
    places = dict.fromkeys(("train_images", "train_annotations", "val_images", "val_annotations"), f"/{text}")
    paths = DataPaths.model_validate({**data().model_dump(), **places, "classes": (text, "other")})
    config = render(combination, 0, "tiny", paths, Objective(), 100, plugins=[text])
    written = to_text(config)
    values = from_text(written)
    assert values == config
    assert values["note"] == value and values["model"]["type"] == text and values["load_from"] == f"/{text}.pth"
    # beyond custom imports, which MMEngine carries out: no module has such a name, so nothing else can be tested there
    config["custom_imports"]["imports"].remove(text)
    assert read(to_text(config), folder) == config
    assert {path.name for path in folder.iterdir()} == {"config.py"}


@seed(1)
@CALM
@example(text=NASTY, value=NASTY)
@example(text="{{", value={"}}": "{{", "{": ["{", "}"]})
@given(text=TEXT, value=VALUE)
def test_a_config_holds_texts_as_they_are(
    done: tuple[StudyRecord, TrialRecord, Combination], folder: Path, text: str, value: Any
) -> None:
    check_config(done, folder, text, value)


@pytest.mark.slow
@seed(2)
@MANY
@given(text=TEXT, value=VALUE)
def test_a_config_holds_very_many_texts_as_they_are(
    done: tuple[StudyRecord, TrialRecord, Combination], folder: Path, text: str, value: Any
) -> None:
    check_config(done, folder, text, value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch PWNED')",
        "import os; os.system('touch PWNED')",
        "model = __import__('os').system('touch PWNED')",
        "model = [open('PWNED', 'w')]",
        "model = {'type': f'{open(\"PWNED\", \"w\")}'}",
        "model['type'] = 'x'",
        "a = b = 1",
        "a, b = 1, 2",
        "model: int = 1",
        "_base_ = fileDirname",
        "model = " + "[" * 100_000,
        "model = 1\0",
        "not a config",
    ],
)
def test_a_config_that_somebody_sent_is_read_and_not_run(folder: Path, text: str) -> None:
    """A worker sends the config that it trained; a server that one does not trust hands it on."""
    for reading in (from_text, without_plugins):
        with pytest.raises(UserError, match="this is no config as sweep writes them"):
            reading(text)
    assert not (folder / "PWNED").exists()


@seed(3)
@CALM
@example(text=NASTY, other=NASTY)
@example(text="\n", other="-*- coding: utf-7 -*-")
@given(text=TEXT, other=TEXT)
def test_a_header_is_a_comment_whatever_it_names(
    done: tuple[StudyRecord, TrialRecord, Combination], folder: Path, text: str, other: str
) -> None:
    study, trial, _ = done
    plugins = {"plugins": {text: other, other: text}}
    shady = replace(
        study, name=text, objective=other, identity=plugins, data={"name": other, "n_val": text}, reason=text
    )
    model = {"name": text, "params": {}}
    tried = replace(
        trial, owner=text, device=other, combination=text, data_hash=other, versions={text: other, "torch": text},
        parts={**trial.parts, "model": model},
    )  # fmt: skip
    config = to_text({"model": {"type": text}, "note": [other]})
    exported = config_text(shady, tried, config, f"python train.py {text}", [text, other])
    assert from_text(exported) == {"model": {"type": text}, "note": [other]}
    assert read(exported, folder) == {"model": {"type": text}, "note": [other]}
    header = exported[: exported.index("\nmodel = ")]
    assert all(line.startswith("#") for line in header.split("\n") if line)
    assert {path.name for path in folder.iterdir()} == {"config.py"}


@seed(4)
@CALM
@example(text=NASTY, value=NASTY)
@given(text=TEXT, value=VALUE)
def test_a_space_travels_with_its_texts_as_they_are(tmp_path_factory: Any, text: str, value: Any) -> None:
    """Through the YAML that a submission is, to the space that the server reads."""
    entries = {
        "study": "travels", "data": "demo", "scale": "tiny", "fixed": {"epochs": 2},
        "search": {"lr": [0.1, 0.2]}, "config": {"+note": [value], "+more": text},
    }  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "space.yaml"
    path.write_text(travel.to_text(entries), encoding="utf-8")
    space = load(path)
    assert space.config["+note"] == [value] and space.config["+more"] == text
    again = travel.to_text(travel.document(space, "tiny"))
    path.write_text(again, encoding="utf-8")
    assert load(path).config == space.config


@seed(5)
@CALM
@example(text="a\0b")
@example(text="~nobody-here/x")
@example(text="x" * 5000)
@given(text=TEXT)
def test_a_text_that_can_be_no_path_is_told(tmp_path_factory: Any, text: str) -> None:
    for entry in ({"fixed": {"pretrained": text}}, {"data": text}, {"plugins": [text]}):
        entries = {"study": "odd", "data": "demo", "scale": "tiny", "search": {"lr": [0.1]}, **entry}
        path = tmp_path_factory.getbasetemp() / "space.yaml"
        path.write_text(travel.to_text(entries), encoding="utf-8")
        try:
            load(path)
        except UserError as error:
            assert len(str(error)) < 5000
