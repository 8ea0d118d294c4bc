"""Values and choices of the parts: names of the catalog with their parameters."""

from __future__ import annotations

from collections import Counter
from typing import Any

from runner.catalog import AUGMENTATIONS, PARTS
from sweeps.space.forms import add_option, form, reader
from sweeps.space.problems import Report, nearest, shown
from sweeps.space.schema import Choice, FloatRange, IntRange, Option, Pick

NO_AUGMENTATION = "none"
_FORMS = (Choice, FloatRange, IntRange)


def fixed_part(part: str, raw: Any, key: str, report: Report) -> tuple[Pick, ...] | None:
    """What stands under ``fixed``: a name, ``{NAME: {parameter: value}}``, for augmentations also a list."""
    return _picks(part, raw, key, report, searched=False)


def part_choice(part: str, raw: Any, key: str, report: Report) -> Choice | None:
    """What stands under ``search``: a list, or a mapping of names to their own parameters."""
    if isinstance(raw, dict) and list(raw) == ["choice"]:
        raw, key = raw["choice"], f"{key}.choice"
    if isinstance(raw, dict) and not ({"float", "int", "choice"} & raw.keys()):
        items = [({name: params}, f"{key}.{name}") for name, params in raw.items()]
        where = key
    elif isinstance(raw, list):
        items, where = [(item, f"{key}[{number}]") for number, item in enumerate(raw)], ""
    else:
        fix = f"write {part}: {raw} under fixed" if isinstance(raw, str) else None
        report.add(key, f"expected a list of names, or a mapping of names to parameters, found {shown(raw)}", fix)
        return None
    if not items:
        report.add(key, "expected at least one name, found none")
        return None
    found = [(_picks(part, item, where or at, report, searched=True), at) for item, at in items]
    return _choice([(picks, at) for picks, at in found if picks is not None], report)


def _choice(found: list[tuple[tuple[Pick, ...], str]], report: Report) -> Choice | None:
    """Labels are the names; fixed parameters are added where names alone would be equal."""
    times = Counter(_label(picks) for picks, _ in found)
    options: list[Option] = []
    for picks, key in found:
        label = _label(picks)
        add_option(options, Option(_label(picks, full=True) if times[label] > 1 else label, picks), key, report)
    return Choice(tuple(options)) if options else None


def _label(picks: tuple[Pick, ...], full: bool = False) -> str:
    names = []
    for pick in picks:
        values = [f"{k}={shown(v)}" for k, v in pick.params.items() if isinstance(v, (str, int, float, bool))]
        names.append(f"{pick.name}({', '.join(values)})" if full and values else pick.name)
    return " + ".join(names) or NO_AUGMENTATION


def _picks(part: str, raw: Any, key: str, report: Report, searched: bool) -> tuple[Pick, ...] | None:
    if isinstance(raw, list):
        if part == "augmentation":
            return _in_order(raw, key, report, searched)
        report.add(key, f"expected one {part}, found the list {shown(raw)}", "a choice belongs under search")
        return None
    if isinstance(raw, dict) and len(raw) == 1:
        ((name, params),) = raw.items()
        at = f"{key}.{name}"
    elif isinstance(raw, str):
        name, params, at = raw, None, key
    else:
        report.add(key, f"expected the name of one {part}, found {shown(raw)}")
        return None
    if name not in PARTS[part]:
        report.add(at, f"unknown {part} {shown(name)}", nearest(name, PARTS[part]))
        return None
    pick = Pick(name, _params(part, name, params, at, report, searched))
    return () if part == "augmentation" and name == NO_AUGMENTATION else (pick,)


def _in_order(raw: list[Any], key: str, report: Report, searched: bool) -> tuple[Pick, ...] | None:
    """Augmentations applied one after the other."""
    picks: list[Pick] = []
    for number, item in enumerate(raw):
        at = f"{key}[{number}]"
        if isinstance(item, list):
            report.add(at, f"expected the name of one augmentation, found the list {shown(item)}")
            return None
        one = _picks("augmentation", item, at, report, searched)
        if one is None:
            return None
        if not one and len(raw) > 1:
            report.add(at, "none stands alone, found it among others", "leave it out")
        picks += one
    sizes = [pick.name for pick in picks if AUGMENTATIONS[pick.name].size]
    if len(sizes) > 1:
        report.add(key, f"expected at most one size, found {' and '.join(sizes)}")
    for name, times in Counter(pick.name for pick in picks).items():
        if times > 1 and AUGMENTATIONS[name].once:
            report.add(key, f"expected {name} once, found it {times} times")
    names = Counter(pick.name for pick in picks if any(isinstance(value, _FORMS) for value in pick.params.values()))
    for name in (name for name, times in names.items() if times > 1):
        report.add(key, f"expected searched parameters of {name} once, found them {names[name]} times")
    return tuple(picks)


def _params(part: str, name: str, raw: Any, key: str, report: Report, searched: bool) -> dict[str, Any]:
    """The parameters that were given to a name; lists and mappings are forms where it is searched."""
    known = PARTS[part][name].parameters
    if raw and not known:
        report.add(key, f"{name} takes no parameters, found {shown(raw)}")
        return {}
    found: dict[str, Any] = {}
    if isinstance(raw, dict):
        for parameter in raw.keys() - known.keys():
            report.add(f"{key}.{parameter}", f"{name} has no parameter {shown(parameter)}", nearest(parameter, known))
        raw = {parameter: raw[parameter] for parameter in raw if parameter in known}
    for parameter, value in report.mapping(raw, key, known).items():
        read, at = reader(known[parameter], report), f"{key}.{parameter}"
        if isinstance(value, (list, dict)) and not searched:
            report.add(at, f"expected a value, found {shown(value)}", "what varies belongs under search")
        elif isinstance(value, (list, dict)):
            found[parameter] = form(value, at, known[parameter].kind, read, report)
        else:
            found[parameter] = read(value, at)
    return {parameter: value for parameter, value in found.items() if value is not None}
