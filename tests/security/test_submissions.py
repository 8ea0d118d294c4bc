"""What somebody with the token may hand in, and what is refused: code, names that lead elsewhere, bombs."""

from __future__ import annotations

import base64
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from security.house import AUTHORIZED, SPACE, TOKEN, House, house

from runner import userparts
from sweeps.access.remote import Remote

PLUGIN = """\
from runner.catalog import add
from runner.catalog.base import Entry, Parameter
import pathlib
pathlib.Path({marker!r}).touch()
add(Entry("mine_only", "Mine", "nowhere", {{"lr": Parameter("float", 0.1)}}), part="optimizer")
"""


class Command:
    """Unpickling it runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def hand_in(opened: House, space: str, **changes: Any) -> tuple[int, str]:
    body = {**opened.submission("other").model_dump(mode="json"), "space": space, **changes}
    headers = {**AUTHORIZED, "Content-Type": "application/json"}
    answer = opened.ask("POST", "/studies", headers, content=json.dumps(body))  # half a character passes, as an escape
    detail = answer.json().get("detail", "")
    assert TOKEN not in detail
    return answer.status_code, detail


def bomb(levels: int = 30) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "study: bomb\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("space", "line"),
    [
        ("study: !!python/object/apply:os.system ['touch {marker}']", "is not allowed; write plain values"),
        ("study: x\nfixed: !!python/object:os.system {{}}", "the tag !!python/object:os.system is not allowed"),
        ("!!python/object/new:os.system [touch {marker}]", "!!python/object/new:os.system is not allowed"),
        ("study: x\nfixed: !!python/name:os.system", "!!python/name:os.system is not allowed"),
        ("study: x\nfixed: !!binary {pickle}", "the tag !!binary is not allowed"),
        ("%TAG ! tag:yaml.org,2002:python/\n---\nstudy: !object/apply:os.system [x]", "is not allowed"),
        (bomb(), "hold more than 20,000 values"),
        ("study: &s [*s]", "an alias inside what it stands for"),
        ("study: " + "[" * 400_000, "nested more than 40 deep"),
        ("study: x\n" + "? " * 100_000, "nested more than 40 deep"),
        ("x" * 999_990, ""),
        ("study: 'x\0'", "character U+0000 is not allowed in YAML"),
        ("study: \ud83d", ""),
        ("", "the space names no study that could be a folder's name"),
        ("[]", "the space names no study that could be a folder's name"),
    ],
)
def test_yaml_that_is_more_than_data(shared: House, tmp_path: Path, space: str, line: str) -> None:
    marker = tmp_path / "ran"
    packed = base64.b64encode(pickle.dumps(Command(f"touch {marker}"))).decode()
    text = space if space.startswith(("study: bomb", "x", "[")) else space.replace("{marker}", str(marker))
    before = shared.everything()
    status, detail = hand_in(shared, text.replace("{pickle}", packed).replace("{{}}", "{}"))
    assert status in (400, 422), detail
    assert line in detail and len(detail) < 5000
    assert not marker.exists()
    assert shared.everything() == before


def test_a_pickle_is_no_space(shared: House, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    packed = pickle.dumps(Command(f"touch {marker}"), protocol=0).decode("latin-1")
    before = shared.everything()
    assert hand_in(shared, packed)[0] == 400
    assert not marker.exists() and shared.everything() == before


@pytest.mark.parametrize(
    "name",
    [
        "..", ".", "../other", "../../other", "/tmp/other", "a/b", "a\\b", "a\tb", "a b", "~", "~root", "$HOME",
        ".hidden", "-rf", "a\nb", "a" * 81, "", "a;b", "a|b", "*", "%2e%2e", "con/../x", "mine/..", "\u2024\u2024",
        "a\u202eb",
    ],
)  # fmt: skip
def test_a_study_named_like_a_path(shared: House, name: str) -> None:
    quoted = '"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"'
    before = shared.everything()
    status, detail = hand_in(shared, SPACE.format(study=quoted, data="demo"))
    assert (status, detail) == (400, "the space names no study that could be a folder's name")
    assert shared.everything() == before


def test_a_space_that_is_no_good_leaves_no_trace(mine: House) -> None:
    """Not even under the name of a study that runs."""
    before = mine.everything()
    for study in ("mine", "other"):
        status, detail = hand_in(mine, SPACE.format(study=study, data="demo").replace("mask_rcnn", "mask_rcn"))
        assert status == 400
        assert detail.startswith("space.yaml:4:9: fixed.model: ") and "mask_rcnn" in detail and "/" not in detail
    assert mine.everything() == before


@pytest.mark.parametrize(
    "name",
    ["../x.py", "/tmp/x.py", "x/../../y.py", "x", "x.pyc", "x.py\0", "x.py/", "a b.py", "1.py", "..py", "x.py\n"],
)
def test_a_plugin_named_like_a_path(shared: House, name: str) -> None:
    before = shared.everything()
    plugins = [{"name": name, "text": "x = 1"}]
    status, _ = hand_in(shared, SPACE.format(study="other", data="demo"), plugins=plugins)
    assert status == 422
    assert shared.everything() == before


def test_code_of_a_study_does_not_run_here(shared: House, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    before = shared.everything()
    plugins = [{"name": "theirs.py", "text": PLUGIN.format(marker=str(marker))}]
    status, detail = hand_in(shared, SPACE.format(study="other", data="demo"), plugins=plugins)
    assert status == 400
    assert detail == ("study other brings code of its own (theirs.py); a server started with --allow-plugins runs it")
    assert not marker.exists() and shared.everything() == before


def test_a_space_cannot_name_code_that_lies_here(shared: House, tmp_path: Path) -> None:
    """A path under `plugins` in a submitted space means nothing: what runs is what was sent along."""
    marker = tmp_path / "ran"
    (tmp_path / "lies_here.py").write_text(PLUGIN.format(marker=str(marker)))
    text = SPACE.format(study="other", data="demo") + f"plugins: [{tmp_path / 'lies_here.py'}]\n"
    status, _ = hand_in(shared, text)
    assert status in (200, 400)
    assert not marker.exists()


def test_with_leave_it_runs_and_a_study_keeps_its_own(tmp_path: Path) -> None:
    """A later submission with another file of the same name changes nothing of the study that runs."""
    marker = tmp_path / "ran"
    with house(tmp_path / "house", plugins=True) as opened:
        text = PLUGIN.format(marker=str(marker))
        space = SPACE.format(study="theirs", data="demo")
        assert hand_in(opened, space, plugins=[{"name": "my_optimizer.py", "text": text}])[0] == 200
        assert marker.exists()
        plugin = opened.team.registry.study("theirs").needs.plugins[0]
        assert Path(plugin.path).is_relative_to(opened.work_dir / "theirs")
        evil = [{"name": "my_optimizer.py", "text": text + "# more\n"}]
        assert hand_in(opened, space, plugins=evil)[0] == 400
        assert Path(plugin.path).read_text() == text
        sent = opened.ask("GET", f"/studies/theirs/plugins/{plugin.sha256}")
        assert (sent.status_code, sent.text) == (200, text)
    userparts.unload("my_optimizer")


COUNTS = st.integers() | st.integers(-(2**70), 2**70)
FIGURES = st.floats() | st.just(10.0**300)
TEXTS = st.text(max_size=50) | st.sampled_from(["/etc/passwd", "../..", "\0", "\u202e", "x" * 5000])


@seed(1)
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("name", "train_images", "train_annotations", "val_images", "root"), TEXTS),
            **dict.fromkeys(("n_train", "n_val", "max_instances"), COUNTS),
            "sizes": st.lists(COUNTS, min_size=2, max_size=2),
            "object_sizes": st.lists(FIGURES, min_size=3, max_size=3),
            "classes": st.lists(TEXTS, max_size=3),
            "labels": st.lists(TEXTS, min_size=2, max_size=2),
            "check": TEXTS,
        },
    )
)
def test_whatever_is_said_about_the_data(shared: House, changes: dict[str, Any]) -> None:
    """A study, or a line that says what is wrong: no crash, and nothing outside the server's own folders."""
    data = {**shared.data.model_dump(mode="json"), **changes}
    body = {**shared.submission("odd").model_dump(mode="json"), "data": data}
    headers = {**AUTHORIZED, "Content-Type": "application/json"}
    answer = shared.ask("POST", "/studies", headers, content=json.dumps(body))
    assert answer.status_code in (200, 400, 422), answer.text


def test_the_client_shows_a_refusal_as_it_shows_its_own(shared: House) -> None:
    """One line a mistake, nothing that a terminal obeys."""
    submission = shared.submission("other").model_copy(update={"space": 'study: x\nfixed: {model: "\x1b[31m"}'})
    with Remote(shared.url, TOKEN) as remote, pytest.raises(Exception) as caught:
        remote.submit(submission)
    assert all(line.isprintable() for line in str(caught.value).splitlines())
