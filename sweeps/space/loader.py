"""YAML file -> SearchSpace. Every mistake in it is reported at once, with file, line and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.catalog import PARTS, SETTINGS
from runner.protocol import Scale
from sweeps.space import sections
from sweeps.space.document import read
from sweeps.space.forms import form, is_form
from sweeps.space.limits import contradictions, limits
from sweeps.space.overrides import Overridden, apply
from sweeps.space.parts import fixed_part, part_choice
from sweeps.space.plugins import plugin_files
from sweeps.space.problems import Report, shown
from sweeps.space.repeats import endless, repeats, seeded
from sweeps.space.rules import check, forbidden_rules, misread
from sweeps.space.schema import Form, SearchSpace
from sweeps.space.settings import setting_reader
from sweeps.space.twins import twins

KEYS = (
    "study", "from", "data", "objective", "scale", "fixed", "search", "config", "forbid", "plugins",
    "sampler", "pruner", "repeats", "budget", "keep",
)  # fmt: skip
_UNKNOWN = re.compile(f"unknown ({'|'.join(PARTS)}) ")
_PATH = re.compile(r"\+?\w+(\.\w+)*")


def load(
    path: Path,
    overrides: Sequence[str] = (),
    data: Path | None = None,
    scale: Callable[[SearchSpace], Scale] | None = None,
) -> SearchSpace:
    """Reads and checks a space.

    Args:
        path: the YAML file.
        overrides: ``KEY=VALUE`` texts of ``--set``; paths in them are relative to the current folder.
        data: data file of ``--data``, instead of the one the space names.
        scale: decides it; without it nobody looks for what cannot work, or is the same, at a scale.

    Raises:
        SpaceErrors: all mistakes, in the order of the file.
    """
    return build(apply(read(path), overrides), data, scale)


def build(
    changed: Overridden, data: Path | None = None, scale: Callable[[SearchSpace], Scale] | None = None
) -> SearchSpace:
    """Checks a document that was read, with what was set on the command line in it; arguments as for `load`.

    Raises:
        SpaceErrors: all mistakes, in the order of the file.
    """

    def locate(key: str) -> tuple[str, int, int]:
        return ("--data", 1, 1) if key == "data" and data is not None else changed.locate(key)

    report = Report(locate)
    plain = report.mapping(changed.data, "", KEYS)
    earlier = len(report.problems)
    plugins = plugin_files(plain.get("plugins"), _base(changed, "plugins"), report)
    broken = len(report.problems) > earlier
    space = SearchSpace(
        study=sections.study_name(plain.get("study"), report),
        data=sections.data_file(plain.get("data"), _base(changed, "data"), data, report),
        objective=sections.objective(plain.get("objective"), report),
        scale=sections.scale(plain.get("scale"), report),
        fixed=_fixed(plain.get("fixed"), changed, report),
        search=_search(plain.get("search"), changed, report),
        config=_config(plain.get("config"), report),
        forbid=forbidden_rules(plain.get("forbid"), report),
        sampler=sections.sampler(plain.get("sampler"), report),
        pruner=sections.pruner(plain.get("pruner"), report),
        budget=sections.budget(plain.get("budget"), report),
        keep=sections.keep(plain.get("keep"), report),
        path=changed.document.path,
        text=changed.document.text,
        plugins=plugins,
        places={key: changed.locate(key) for key in (*changed.document.marks, *changed.origins)},
    )
    sections.not_yet(plain, report)
    times, adaptive = repeats(plain, report)
    if not any(plain.get(key) for key in ("fixed", "search", "config")):
        report.add("", "expected fixed or search, found neither: a space says what to try")
    notes = check(space, plain, report)
    if broken:  # what its files would have added is not unknown
        report.problems = [problem for problem in report.problems if not _UNKNOWN.match(problem.message)]
    if scale and not misread(report):
        at = scale(space)
        report.problems += [*limits(space, at), *contradictions(space, at), *twins(space, at)]
    report.finish()
    space = replace(
        space, notes=(*changed.notes, *notes), repeats=times, adaptive=adaptive, search=seeded(space, times)
    )
    endless(space, report)
    report.finish()
    return space


def _base(changed: Overridden, key: str) -> Path:
    """The folder that a path at `key` is relative to."""
    return Path.cwd() if changed.is_set(key) else changed.document.path.parent


def _fixed(raw: Any, changed: Overridden, report: Report) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in report.mapping(raw, "fixed", (*PARTS, *SETTINGS)).items():
        key = f"fixed.{name}"
        if name in PARTS:
            found[name] = fixed_part(name, value, key, report)
        elif isinstance(value, dict):
            report.add(key, f"expected a value, found {shown(value)}", "what varies belongs under search")
        else:
            found[name] = setting_reader(name, _base(changed, key), report)(value, key)
    return {name: value for name, value in found.items() if value is not None}


def _search(raw: Any, changed: Overridden, report: Report) -> Mapping[str, Form]:
    found: dict[str, Form | None] = {}
    for name, value in report.mapping(raw, "search", (*PARTS, *SETTINGS)).items():
        key = f"search.{name}"
        if name in PARTS:
            found[name] = part_choice(name, value, key, report)
        else:
            reader = setting_reader(name, _base(changed, key), report)
            found[name] = form(value, key, SETTINGS[name].kind, reader, report)
    return {name: value for name, value in found.items() if value is not None}


def _config(raw: Any, report: Report) -> dict[str, Any]:
    """Paths of the rendered config; a list is a value here, what varies is written with its word."""
    if raw is not None and not isinstance(raw, dict):
        report.add("config", f"expected a mapping of dotted paths to values, found {shown(raw)}")
        return {}
    found: dict[str, Any] = {}
    for path, value in (raw or {}).items():
        key = f"config.{path}"
        if not _PATH.fullmatch(path):
            report.add(key, f"expected a dotted path such as model.rpn_head.loss_cls, found {shown(path)}")
        elif is_form(value):
            found[path] = form(value, key, None, lambda item, _: item, report)
        else:
            found[path] = value
    return found
