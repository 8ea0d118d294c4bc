"""What a FORM says: a list, ``{float: [low, high]}``, ``{int: [low, high]}``, ``{choice: [...]}``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from runner.catalog import Parameter
from sweeps.space.problems import Report, nearest, shown
from sweeps.space.schema import Choice, FloatRange, Form, IntRange, Option, label_of

Read = Callable[[Any, str], Any]
"""Checks a plain value at a key: gives it back (a whole number as float where one is wanted), or None."""

_WORDS = ("float", "int", "choice")
_EXPECTED = "expected a list, {float: [low, high]}, {int: [low, high]} or {choice: [...]}"


def is_form(raw: object) -> bool:
    """Whether a value under ``config`` is searched: a mapping with float, int or choice in it."""
    return isinstance(raw, dict) and any(word in raw for word in _WORDS)


def reader(parameter: Parameter, report: Report) -> Read:
    """Checks values of a parameter of the catalog."""

    def read(raw: Any, key: str) -> Any:
        problem = parameter.problem(raw)
        if problem:
            report.add(key, problem)
            return None
        return float(raw) if parameter.kind == "float" else raw

    return read


def form(raw: Any, key: str, kind: str | None, read: Read, report: Report) -> Form | None:
    """What is searched at a key; None where there was a mistake (which is noted).

    Args:
        raw: plain value of the file.
        key: where it stands.
        kind: of the parameter (float, int, bool, str), None where anything goes.
        read: checks one value.
        report: takes the mistakes.
    """
    if isinstance(raw, list):
        return choice(raw, key, read, report)
    words = [word for word in _WORDS if isinstance(raw, dict) and word in raw]
    if len(words) != 1:
        _no_form(raw, key, report)
        return None
    word = words[0]
    entries = report.mapping(raw, key, ("choice",) if word == "choice" else (word, "log", "step"))
    if word == "choice":
        if not isinstance(entries["choice"], list):
            report.add(f"{key}.choice", f"expected a list, found {shown(entries['choice'])}")
            return None
        return choice(entries["choice"], f"{key}.choice", read, report)
    if kind in ("bool", "str"):
        report.add(f"{key}.{word}", f"expected a list of values, found a range of type {word}")
        return None
    if kind == "int" and word == "float":
        report.add(f"{key}.float", "expected whole numbers, found a range of type float", "write int")
        return None
    return _range(entries, word, key, read, report)


def choice(raw: Sequence[Any], key: str, read: Read, report: Report) -> Choice | None:
    """One of a list of plain values."""
    if not raw:
        report.add(key, "expected at least one value, found an empty list")
        return None
    options: list[Option] = []
    for number, item in enumerate(raw):
        before = len(report.problems)
        value = read(item, f"{key}[{number}]")
        if len(report.problems) > before:
            continue
        add_option(options, Option(label_of(value), value), f"{key}[{number}]", report)
    return Choice(tuple(options)) if options else None


def add_option(options: list[Option], option: Option, key: str, report: Report) -> None:
    """Appends an option; one that stands there already is noted."""
    if any(other.label == option.label for other in options):
        report.add(key, f"{shown(option.label)} stands in this choice a second time")
    else:
        options.append(option)


def _no_form(raw: Any, key: str, report: Report) -> None:
    if isinstance(raw, dict) and raw and not any(word in raw for word in _WORDS):
        name = next(iter(raw))
        report.add(f"{key}.{name}", f"{_EXPECTED}, found the key {shown(name)}", nearest(name, _WORDS))
    elif isinstance(raw, dict) and len(raw) > 1:
        report.add(key, "expected one of float, int and choice, found several")
    else:
        report.add(key, f"{_EXPECTED}, found {shown(raw)}", "a value that does not vary belongs under fixed")


def _range(entries: dict[str, Any], word: str, key: str, read: Read, report: Report) -> Form | None:
    """A range of numbers; every mistake in it is noted."""
    before = len(report.problems)
    where, bounds = f"{key}.{word}", entries[word]
    if not isinstance(bounds, list) or len(bounds) != 2:
        report.add(where, f"expected [low, high], found {shown(bounds)}")
        return None
    for number, bound in enumerate(bounds):
        _number(bound, word, f"{where}[{number}]", report)
    log, step = entries.get("log", False), entries.get("step")
    if not isinstance(log, bool):
        report.add(f"{key}.log", f"expected true or false, found {shown(log)}")
    if step is not None:
        _number(step, word, f"{key}.step", report)
    if len(report.problems) > before:
        return None
    for number, bound in enumerate(bounds):
        read(bound, f"{where}[{number}]")
    low, high = bounds
    _relations(low, high, log, step, where, report)
    if len(report.problems) > before:
        return None
    if step is not None:  # the last value that steps reach, so that nobody is told of one that is never tried
        begin, stride = _exact(low), _exact(step)
        high = type(high)(begin + (_exact(high) - begin) // stride * stride)
    if word == "int":
        return IntRange(low, high, log, step or 1)
    return FloatRange(float(low), float(high), log, None if step is None else float(step))


def _number(value: Any, word: str, key: str, report: Report) -> None:
    wanted = (int,) if word == "int" else (int, float)
    if not isinstance(value, wanted) or isinstance(value, bool):
        text = "a whole number" if word == "int" else "a number"
        report.add(key, f"expected {text}, found {shown(value)}")


def _relations(low: Any, high: Any, log: bool, step: Any, where: str, report: Report) -> None:
    """Mistakes between the numbers of a range."""
    key = where.rpartition(".")[0]
    if low > high:
        report.add(where, f"expected low below high, found low {low} and high {high}", f"write [{high}, {low}]")
    elif low == high:
        report.add(where, f"expected low below high, found {low} twice", f"a choice of one value is [{low}]")
    if log and low <= 0:
        report.add(where, f"expected low above 0 where log is true, found {low}")
    if step is None:
        return
    if step <= 0:
        report.add(f"{key}.step", f"expected a step above 0, found {step}")
    elif low < high and _exact(step) > _exact(high) - _exact(low):
        report.add(f"{key}.step", f"expected a step of at most high - low, found {step}")
    if log and (step != 1 or where.endswith(".float")):
        report.add(f"{key}.step", "expected no step where log is true", "write either log or step")


def _exact(number: float) -> Decimal:
    """The number as it was written: 0.03 - 0.01 is 0.02 here."""
    return Decimal(str(number))
