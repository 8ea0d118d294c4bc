"""YAML 1.2 in, plain data out; every syntax error is one line with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeps.space.document import Document, parse, read
from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors

FILE = Path("space.yaml")
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)


def values(text: str) -> Any:
    return parse(text, FILE).data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 0.0001),
        ("1E-4", 0.0001),
        ("1e4", 10000.0),
        ("1.5e-3", 0.0015),
        ("-2e-3", -0.002),
        (".5", 0.5),
        ("0x1F", 31),
    ],
)
def test_numbers_of_yaml_1_2(text: str, value: float) -> None:
    found = values(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_what_only_yaml_1_1_reads_as_something_else_is_text() -> None:
    text = "[no, yes, on, off, 12:30:00, 2020-01-01, inf, =]"
    assert values(text) == ["no", "yes", "on", "off", "12:30:00", "2020-01-01", "inf", "="]
    assert values("[true, false, null, ~]") == [True, False, None, None]


def test_keys_are_texts() -> None:
    assert values("{1: a, no: b, null: c, 1e-4: d}") == {"1": "a", "no": "b", "null": "c", "1e-4": "d"}


def test_aliases_are_copies() -> None:
    data = values("a: &x {lr: [1]}\nb: *x")
    data["a"]["lr"].append(2)
    assert data["b"] == {"lr": [1]}


def test_every_key_and_item_has_a_place() -> None:
    text = "study: s\nsearch:\n  optimizer:\n    SGD: {lr: [1, 2]}\nforbid:\n  - {model: htc}\n"
    document = parse(text, FILE)
    assert document.locate("search.optimizer.SGD.lr") == (4, 11)
    assert document.locate("search.optimizer.SGD.lr[1]") == (4, 19)
    assert document.locate("forbid[0].model") == (6, 6)
    assert document.locate("search.optimizer.SGD.momentum.float") == (4, 5)
    assert document.locate("search.lr") == (2, 1)
    assert document.locate("budget.trials") == (1, 1)


def test_carriage_returns_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffstudy: 연구\r\nfixed:\r\n  lr: 1\r\n".encode())
    document = read(path)
    assert isinstance(document, Document)
    assert document.data == {"study": "연구", "fixed": {"lr": 1}}
    assert document.locate("fixed.lr") == (3, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "1:5: YAML syntax: mapping values are not allowed here; write one key a line, and "
                    "quotes around a text that holds ': '"),
        ("a: [1, 2\nb: 3", "2:2: YAML syntax: expected ',' or ']', but got ':' (while parsing a flow "
                           "sequence that begins at 1:4)"),
        ('a: "abc', "1:8: YAML syntax: found unexpected end of stream (while scanning a quoted scalar that "
                    "begins at 1:4)"),
        ("a:\n\tb: 1", "2:1: YAML syntax: found character '\\t' that cannot start any token; write spaces "
                       "instead of the tab"),
        ("a: @x", "1:4: YAML syntax: found character '@' that cannot start any token; write quotes "
                  "around the text"),
        ("a: *x", "1:4: YAML syntax: found undefined alias 'x'"),
        ("a: \x01", "1:4: character U+0001 is not allowed in YAML"),
        ("a: 1\na: 2", "2:1: a: the key stands here a second time (first in line 1)"),
        ("x: !!python/object:os.system {}", "1:4: x: the tag !!python/object:os.system is not allowed; "
                                            "write plain values"),
        ("x: [!foo 1]", "1:5: x[0]: the tag !foo is not allowed; write plain values"),
        ("x: !!binary aGk=", "1:4: x: the tag !!binary is not allowed; write plain values"),
        ("x: !!int z", "1:4: x: z is not a value of type int"),
        ("x: !!bool z", "1:4: x: z is not a value of type bool"),
        ("x: .nan", "1:4: x: expected a finite number, found .nan"),
        ("? [a]\n: 1", "1:3: expected a text as key"),
        ("a: &a {b: 1}\nc:\n  <<: *a", "3:3: c.<<: YAML 1.2 has no merge key; write the keys out"),
        ("a: &x [*x]", "1:4: a[0]: an alias inside what it stands for"),
        ("---\na: 1\n---\nb: 2", "3:1: expected one document, found another one that begins with ---"),
        ("%YAML 1.1\n---\na: no", "1:1: expected YAML 1.2, found a %YAML directive of another version"),
        ("a: " + "[" * 60 + "]" * 60, "1:44: a" + "[0]" * 40 + ": nested more than 40 deep"),
        ("a: " + "[" * 3000 + "]" * 3000, "1:1: nested more than 40 deep"),
        (BOMB, "1:1: the file and its aliases hold more than 20,000 values"),
    ],
)  # fmt: skip
def test_refused(text: str, message: str) -> None:
    with pytest.raises(SpaceErrors) as caught:
        values(text)
    assert str(caught.value) == f"space.yaml:{message}"


def test_all_that_is_refused_is_told_at_once() -> None:
    with pytest.raises(SpaceErrors) as caught:
        values("a: !x 1\nb: !y 2\nb: 3\n")
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models.yaml").write_text("a: 1")
    Path("folder").mkdir()
    Path("empty.yaml").write_text("# nothing\n")
    Path("list.yaml").write_text("- a\n")
    Path("latin.yaml").write_bytes("a: 1\nb: \xe9t\xe9".encode("latin-1"))
    Path("large.yaml").write_text("# " + "x" * 1_000_000)
    expected = {
        "model.yaml": "model.yaml:1:1: there is no such file; did you mean models.yaml?",
        "nowhere/x.yaml": "nowhere/x.yaml:1:1: there is no such file",
        "folder": "folder:1:1: expected a YAML file, found a folder",
        "empty.yaml": "empty.yaml:1:1: expected a mapping of keys to values, found nothing",
        "list.yaml": "list.yaml:1:1: expected a mapping of keys to values, found a list",
        "latin.yaml": "latin.yaml:2:4: expected UTF-8 text, found byte 0xe9",
        "large.yaml": "large.yaml:1:1: expected at most 1,000,000 bytes of YAML",
    }
    for name, message in expected.items():
        with pytest.raises(SpaceErrors) as caught:
            read(Path(name))
        assert str(caught.value) == message


@pytest.fixture
def loaded(tmp_path: Path) -> None:
    """All code that reads a space is loaded: an unprivileged user may not."""
    (tmp_path / "x.yaml").write_text("study: a\ndata: demo\nfixed: {epochs: 1}\n")
    load(tmp_path / "x.yaml")


@pytest.mark.usefixtures("loaded", "elsewhere")
def test_a_file_without_permission(elsewhere: Path) -> None:
    denied = r"cannot be read: permission denied; allow reading it \(chmod a\+rX\)"
    path, sealed = elsewhere / "a.yaml", elsewhere / "sealed"
    path.write_text("study: a\ndata: sealed/data.yaml\nfixed: {epochs: 1}\n")
    sealed.mkdir()
    sealed.chmod(0)
    with pytest.raises(SpaceErrors, match=rf"a\.yaml:2:1: data: {sealed}/data.yaml {denied}"):
        load(path)
    path.chmod(0)
    with pytest.raises(SpaceErrors, match=rf"a\.yaml:1:1: {denied}"):
        read(path)
