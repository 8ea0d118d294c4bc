"""Reads YAML 1.2 into plain data and remembers where every key stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from runner.data.files import unreadable
from sweeps.space.plain import MAX_DEPTH, PlainBuilder
from sweeps.space.problems import SpaceErrors, SpaceProblem, near_file

MAX_BYTES = 1_000_000
_HINTS = {
    "mapping values are not allowed here": "write one key a line, and quotes around a text that holds ': '",
    "found character '\\t'": "write spaces instead of the tab",
    "found character '@'": "write quotes around the text",
    "found character '`'": "write quotes around the text",
    "found character '%'": "write quotes around the text",
}


@dataclass(frozen=True)
class Document:
    """A file that was read.

    Attributes:
        path: as the user wrote it.
        text: the whole file.
        data: dicts (keys are texts), lists, scalars.
        marks: dotted key -> (line, column), counted from 1.
    """

    path: Path
    text: str
    data: Any
    marks: Mapping[str, tuple[int, int]]

    def locate(self, key: str) -> tuple[int, int]:
        """(line, column) of a dotted key, or of its nearest ancestor that is there; (1, 1) at worst."""
        for name in ancestors(key):
            if name in self.marks:
                return self.marks[name]
        return (1, 1)


def ancestors(key: str) -> list[str]:
    """The key itself, then what it stands in: "a.b[0]" -> "a.b[0]", "a.b", "a"."""
    names = [key]
    while cut := max(key.rfind("."), key.rfind("["), 0):
        key = key[:cut]
        names.append(key)
    return names


def read(path: Path) -> Document:
    """Reads a file that holds one mapping.

    Raises:
        SpaceErrors: it cannot be read, is not YAML, or holds something other than plain data in a mapping.
    """
    document = parse(_text(path), path)
    if not isinstance(document.data, dict):
        kind = "nothing" if document.data is None else "a list" if isinstance(document.data, list) else "a value"
        raise SpaceErrors([_at(path, 1, 1, f"expected a mapping of keys to values, found {kind}")])
    return document


def parse(text: str, path: Path) -> Document:
    """Reads a text; `path` is what mistakes are reported under.

    Raises:
        SpaceErrors: as for `read`.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except ComposerError as error:
        if error.context and "single document" in error.context:
            mark = error.problem_mark
            message = "expected one document, found another one that begins with ---"
            raise SpaceErrors([_at(path, mark.line + 1, mark.column + 1, message)]) from None
        raise SpaceErrors([_syntax(path, error)]) from None
    except MarkedYAMLError as error:
        raise SpaceErrors([_syntax(path, error)]) from None
    except ReaderError as error:
        line, column = _position(text, error.position)
        message = f"character U+{int(error.character):04X} is not allowed in YAML"
        raise SpaceErrors([_at(path, line, column, message)]) from None
    except RecursionError:
        raise SpaceErrors([_at(path, 1, 1, f"nested more than {MAX_DEPTH} deep")]) from None
    if tuple(yaml.resolver.processing_version) != (1, 2):
        raise SpaceErrors([_at(path, 1, 1, "expected YAML 1.2, found a %YAML directive of another version")])
    builder = PlainBuilder(path, yaml)
    data = builder.build(node, "", ()) if node is not None else None
    if builder.problems:
        raise SpaceErrors(builder.problems)
    return Document(path, text, data, builder.marks)


def _text(path: Path) -> str:
    """The file's text.

    Raises:
        SpaceErrors: missing, a folder, unreadable, too large, not UTF-8.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SpaceErrors([_at(path, 1, 1, f"expected at most {MAX_BYTES:,} bytes of YAML")])
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SpaceErrors([_at(path, 1, 1, "there is no such file", near_file(path))]) from None
    except IsADirectoryError:
        raise SpaceErrors([_at(path, 1, 1, "expected a YAML file, found a folder")]) from None
    except OSError as error:
        raise SpaceErrors([_at(path, 1, 1, *unreadable(error))]) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(raw[: error.start].decode(), error.start)
        message = f"expected UTF-8 text, found byte 0x{raw[error.start]:02x}"
        raise SpaceErrors([_at(path, line, column, message)]) from None


def _syntax(path: Path, error: MarkedYAMLError) -> SpaceProblem:
    """A syntax error as one line, with the hint for the common ones."""
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem).strip()
    hint = next((hint for begin, hint in _HINTS.items() if problem.startswith(begin)), None)
    context = ""
    if error.context and error.context_mark:
        begin = error.context_mark
        context = f" ({str(error.context).strip()} that begins at {begin.line + 1}:{begin.column + 1})"
    return _at(path, mark.line + 1, mark.column + 1, f"YAML syntax: {problem}{context}", hint)


def _at(path: Path, line: int, column: int, message: str, suggestion: str | None = None) -> SpaceProblem:
    return SpaceProblem(str(path), line, column, "", message, suggestion)


def _position(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - before.rfind("\n")
