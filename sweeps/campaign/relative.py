"""``{top: 2}`` and ``{around: 3}``: what a stage searches around the winner, written out once that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.catalog import PARTS, SETTINGS, Parameter
from runner.protocol import Part
from sweeps.campaign.course import Best, Course
from sweeps.space.problems import Report, nearest, shown

_TOP = Parameter("int", None, 1, 100)
_FACTOR = "expected a number above 1 (3: from a third to three times the winner's)"


def is_relative(raw: Any) -> bool:
    """Whether an entry under ``search`` depends on what earlier stages found."""
    return isinstance(raw, dict) and bool({"top", "around"} & raw.keys())


def expand(search: Mapping[str, Any], course: Course, prefix: str, report: Report) -> dict[str, Any]:
    """A stage's ``search`` as in any other space.

    Args:
        search: as the file has it.
        course: what the stages before found.
        prefix: dotted key of the stage.
        report: takes the mistakes; an entry that has one, or that hangs on a broken stage, is left out.
    """
    found = {}
    for key, raw in search.items():
        if not is_relative(raw):
            found[key] = raw
            continue
        written = _written(key, raw, course, f"{prefix}.search.{key}", report)
        if written is not None:
            found[key] = written
    return found


def _written(key: str, raw: dict[str, Any], course: Course, at: str, report: Report) -> Any:
    before = len(report.problems)
    entries = report.mapping(raw, at, ("top", "around"))
    top, around = entries.get("top"), entries.get("around")
    if "top" in entries and (problem := _TOP.problem(top)):
        report.add(f"{at}.top", problem)
    if key in PARTS:
        around = _part_factors(key, around, at, report) if "around" in entries else {}
    elif key not in SETTINGS:
        report.add(at, f"unknown key {shown(key)}", nearest(key, [*PARTS, *SETTINGS]))
    elif "around" in entries:
        _check_setting(key, around, "top" in entries, at, report)
    if len(report.problems) > before or key in course.broken:
        return None
    if course.winner is None:
        if not course.broken:
            report.add(at, "the first stage has no winner to start from", "write a list of what it tries")
        return None
    if key in SETTINGS and around is not None:
        return _setting(key, float(around), course, at, report)
    bests = course.ranked(key)
    if "top" in entries and not bests:
        report.add(at, f"no stage before this one searches {key}", "write a list of what it tries")
        return None
    distinct = _distinct(key, bests or [course.winner], bool(around), course)[: top or 1]
    if key in SETTINGS:
        return [one.value(key) for one in distinct]
    return _options(key, distinct, bests or [course.winner], around or {}, course, at, report)


def _check_setting(key: str, factor: Any, top: bool, at: str, report: Report) -> None:
    if top:
        report.add(at, "expected either top or around, found both", "a setting has one or the other")
    elif SETTINGS[key].kind not in ("float", "int") or key in ("image_size", "seed"):
        report.add(f"{at}.around", f"nothing lies around {key}, which is no plain number", "write top, or a list")
    elif not _is_factor(factor):
        report.add(f"{at}.around", f"{_FACTOR}, found {shown(factor)}")


def _part_factors(part: str, raw: Any, at: str, report: Report) -> dict[str, float]:
    """Parameter -> factor."""
    if part == "augmentation":
        report.add(f"{at}.around", "augmentations are lists, around is for parts with one name", "write top alone")
    elif not isinstance(raw, dict) or not raw:
        message = f"expected parameters of the {part} with their factors, found {shown(raw)}"
        report.add(f"{at}.around", message, "write around: {lr: 3}" if part == "optimizer" else None)
    else:
        for name, factor in raw.items():
            if not _is_factor(factor):
                report.add(f"{at}.around.{name}", f"{_FACTOR}, found {shown(factor)}")
        return raw
    return {}


def _is_factor(raw: Any) -> bool:
    return isinstance(raw, (int, float)) and not isinstance(raw, bool) and raw > 1


def _distinct(key: str, bests: list[Best], by_name: bool, course: Course) -> list[Best]:
    """The best combination of each value of `key` (with `by_name` of each name, whatever its parameters)."""
    seen: dict[str, Best] = {}
    for best in bests:
        value = _part(best, key, course).name if by_name else best.value(key)
        if value is not None:
            seen.setdefault(repr(value), best)
    return list(seen.values())


def _options(
    part: str,
    bests: list[Best],
    known: list[Best],
    factors: Mapping[str, float],
    course: Course,
    at: str,
    report: Report,
) -> list[Any]:
    """Each best one's value of a part, with ranges around its parameters."""
    if not factors:
        return [best.value(part) for best in bests]
    names = {_part(best, part, course).name for best in known}
    for parameter in factors:
        if not any(parameter in PARTS[part][name].parameters for name in names):
            has = sorted({p for name in names for p in PARTS[part][name].parameters})
            message = f"{' and '.join(sorted(names))} {'have' if len(names) > 1 else 'has'} no parameter {parameter}"
            report.add(f"{at}.around.{parameter}", message, nearest(parameter, has) if has else None)
    return [_around_part(part, best, factors, course) for best in bests]


def _around_part(part: str, best: Best, factors: Mapping[str, float], course: Course) -> Any:
    """``{SGD: {lr: {float: [...], log: true}}}``; a parameter that is off, or 0, stays as it is."""
    complete, value = _part(best, part, course), best.value(part)
    params: dict[str, Any] = dict(value[complete.name]) if isinstance(value, dict) else {}
    for name, factor in factors.items():
        parameter = PARTS[part][complete.name].parameters.get(name)
        found = _range(complete.params[name], factor, parameter) if parameter else None
        if found is not None:
            params[name] = found
    return {complete.name: params} if params else complete.name


def _setting(key: str, factor: float, course: Course, at: str, report: Report) -> dict[str, Any] | None:
    assert course.winner
    combination = course.winner.combination(course.scale)
    known = combination.optimizer.params if key == "lr" else combination.settings
    value = known.get(key, SETTINGS[key].default)
    found = _range(value, factor, SETTINGS[key])
    if found is None:
        report.add(f"{at}.around", f"the winner has {key} {shown(value)}: nothing lies around that", "write a list")
    return found


def _range(value: Any, factor: float, parameter: Parameter) -> dict[str, Any] | None:
    """From a `factor`-th of the value to `factor` times it, within the catalog's bounds; None where there is none."""
    if parameter.kind not in ("float", "int") or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if value <= 0:
        return None
    low, high = max(value / factor, parameter.low or 0), min(value * factor, parameter.high or value * factor)
    if parameter.kind == "int":
        low, high = max(1, round(low)), round(high)
    else:
        low, high = float(f"{low:.6g}"), float(f"{high:.6g}")
    return {parameter.kind: [low, high], "log": True} if low < high else None


def _part(best: Best, part: str, course: Course) -> Part:
    found = getattr(best.combination(course.scale), part)
    assert isinstance(found, Part)
    return found
