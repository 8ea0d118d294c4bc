"""Mistakes in a space: where, what was expected, what was found, what to write instead."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import UserError


@dataclass(frozen=True)
class SpaceProblem:
    """One mistake.

    Attributes:
        file: path as the user wrote it, or the option it came from (``--set``).
        line, column: counted from 1; for ``--set`` the line is the option's number.
        key: dotted key ("search.optimizer.SGD.lr"), empty where there is none.
        message: what was expected and what was found.
        suggestion: what to write instead, as a phrase ("did you mean mask_rcnn?"), or None.
    """

    file: str
    line: int
    column: int
    key: str
    message: str
    suggestion: str | None = None

    def text(self) -> str:
        """The one line a user reads: ``file:line:column: key: message; suggestion``."""
        key = f"{self.key}: " if self.key else ""
        suggestion = f"; {self.suggestion}" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.message}{suggestion}"


class SpaceErrors(UserError):  # noqa: N818 (it holds several)
    """All mistakes of one file; its text holds one line a mistake."""

    def __init__(self, problems: Sequence[SpaceProblem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(problem.text() for problem in self.problems))


@dataclass
class Report:
    """Collects mistakes while a file is walked.

    Attributes:
        locate: (file, line, column) of a dotted key.
        problems: found so far.
    """

    locate: Callable[[str], tuple[str, int, int]]
    problems: list[SpaceProblem] = field(default_factory=list)

    def add(self, key: str, message: str, suggestion: str | None = None) -> None:
        """Notes one mistake at a dotted key."""
        self.problems.append(SpaceProblem(*self.locate(key), key, message, suggestion))

    def mapping(self, raw: object, key: str, known: Iterable[str]) -> dict[str, Any]:
        """The entries of a mapping with known keys; every other key is noted. Nothing counts as empty."""
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            self.add(key, f"expected a mapping of keys to values, found {shown(raw)}")
            return {}
        names = list(known)
        for name in raw:
            if name not in names:
                self.add(f"{key}.{name}" if key else name, f"unknown key {shown(name)}", nearest(name, names))
        return {name: raw[name] for name in raw if name in names}

    def finish(self) -> None:
        """Raises all mistakes, in the order of the file; nothing where there are none.

        Raises:
            SpaceErrors: there was a mistake.
        """
        if self.problems:
            raise SpaceErrors(in_order(self.problems))


def in_order(problems: Iterable[SpaceProblem]) -> list[SpaceProblem]:
    """Mistakes file by file, each in its order; those of ``--set`` at the end."""
    found = list(problems)
    files = list(dict.fromkeys(p.file for p in found))
    return sorted(found, key=lambda p: (p.file == "--set", files.index(p.file), p.line, p.column))


def nearest(name: object, names: Iterable[str]) -> str:
    """The suggestion for an unknown name: the nearest one, or all that there are."""
    known = list(names)
    near = difflib.get_close_matches(str(name), known, n=5, cutoff=0.6)
    # of equally near ones the one that begins alike: AdamV is AdamW rather than RAdam
    near.sort(key=lambda k: (difflib.SequenceMatcher(None, k, str(name)).ratio(), _alike(k, str(name))), reverse=True)
    if not near:  # what is typed in another case is near as well
        near = [k for k in known if k.casefold() == str(name).casefold()][:1]
    if near:
        return f"did you mean {near[0]}?"
    return f"write one of {', '.join(known)}" if len(known) > 1 else f"write {known[0]}"


def _alike(one: str, other: str) -> int:
    """How many characters two names begin with alike."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def near_file(path: Path) -> str | None:
    """The suggestion for a YAML or Python file that is not there: a similar name in its folder, or None."""
    pattern = "*.py" if path.suffix == ".py" else "*.yaml"
    there = {p.stem: p.name for p in path.parent.glob(pattern)} if path.parent.is_dir() else {}
    near = difflib.get_close_matches(path.stem, sorted(there), n=1, cutoff=0.6)
    return f"did you mean {there[near[0]]}?" if near else None


def shown(value: object) -> str:
    """A value as one would write it in the file, at most 60 characters."""
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
