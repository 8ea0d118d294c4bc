"""The catalog as plain JSON, and in rows for people."""

from __future__ import annotations

import pprint
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from runner.catalog import PARTS, SETTINGS, Entry, Model, Parameter, catalog_limits
from sweeps.space.resolve import default_backbone, default_setting

KINDS = {**{f"{part}s": part for part in PARTS}, "settings": "setting"}
NOT_SET = "not set"
_MANY = 6  # names in a cell
_IN_ENTRY = ("name", "title", "source", "parameters", "group")  # a model's group is what its parameters write


def document(kinds: Sequence[str], name: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Kind -> its entries, with everything that is known of them.

    Args:
        kinds: keys of KINDS.
        name: of the only entry wanted.
    """
    found = {}
    for kind in kinds:
        if kind == "settings":
            entries = [_setting(key, parameter) for key, parameter in SETTINGS.items()]
        else:
            entries = [_entry(entry) for entry in PARTS[KINDS[kind]].values()]
        found[kind] = [entry for entry in entries if name in (None, entry["name"])]
    return found


def _entry(entry: Entry) -> dict[str, Any]:
    facts = {field.name: getattr(entry, field.name) for field in fields(entry) if field.name not in _IN_ENTRY}
    if isinstance(entry, Model):
        facts["backbone"] = {scale: default_backbone(entry.name, scale) for scale in ("standard", "tiny")}
    return {
        "name": entry.name,
        "title": entry.title,
        "source": entry.source,
        **{key: _plain(value) for key, value in facts.items()},
        "parameters": {key: parameter_document(parameter) for key, parameter in entry.parameters.items()},
    }


def _setting(name: str, parameter: Parameter) -> dict[str, Any]:
    """A setting is a parameter with a name; some of its defaults follow the scale, that of the epochs the data too."""
    found = {"name": name, **parameter_document(parameter)}
    if name not in ("lr", "seed"):
        found["default"] = default_setting(name, "standard", 0)
        found["default_tiny"] = None if name == "epochs" else default_setting(name, "tiny", 0)
    return found


def parameter_document(parameter: Parameter) -> dict[str, Any]:
    """A parameter with its defaults at both scales; a default of null is MMDetection's own value."""
    return {
        "kind": parameter.kind,
        "default": _plain(parameter.default),
        "default_tiny": _plain(parameter.at("tiny")),
        "low": parameter.low,
        "high": parameter.high,
        "choices": _plain(parameter.choices),
        "log": parameter.log,
        "help": parameter.help,
    }


def limits() -> list[dict[str, Any]]:
    """What cannot work together: ``when`` every key has one of its values, and why."""
    return [{key: _plain(value) for key, value in asdict(limit).items()} for limit in catalog_limits()]


def limit_row(limit: Mapping[str, Any]) -> list[str]:
    """What, at which scale, and why."""
    what = [f"{key} {_listed([_text(value) for value in values])}" for key, values in limit["when"].items()]
    what += [f"{key} {word} {_text(bound)}" for word in ("above", "below") for key, bound in limit[word].items()]
    return [" with ".join(what), limit["scale"] or "both", limit["reason"]]


def _listed(names: list[str]) -> str:
    shown = names if len(names) <= _MANY else [*names[:_MANY], f"{len(names) - _MANY} others"]
    return " or ".join(shown)


def columns(kind: str) -> dict[str, bool]:
    """Titles of the columns that `row` fills; whether they hold numbers."""
    facts: Mapping[str, dict[str, bool]] = {
        "models": {"M": True, "backbone": False, "optimizer": False, "boxes": False, "parameters": True},
        "backbones": {"M": True, "MiB": True, "norm": False, "optimizer": False, "ImageNet": False},
        "augmentations": {"strength": True, "parameters": False},
        "optimizers": {"lr": True, "at tiny": True, "parameters": False},
        "schedules": {"parameters": False},
    }
    if kind == "settings":
        return {"name": False, "default": False, "at tiny": False, "values": False, "what": False}
    return {"name": False, "what": False, **facts[kind], "source": False}


def row(kind: str, entry: Mapping[str, Any]) -> list[str]:
    """The cells of an entry of `document`, as `columns` names them."""
    if kind == "settings":
        return [entry["name"], *parameter_row(entry)]
    names = ", ".join(entry["parameters"])
    facts: Mapping[str, Callable[[], list[str]]] = {
        "models": lambda: [
            _number(entry.get("parameters_m", 0)), entry["backbone"]["standard"], entry["optimizer"]["standard"],
            _text(entry["boxes"]), str(len(entry["parameters"])),
        ],
        "backbones": lambda: [
            _number(entry["parameters_m"]), f"{entry['memory_mb']:.0f}" if entry["memory_mb"] else "", entry["norm"],
            entry["optimizer"] or "", _text(bool(entry["imagenet"])),
        ],
        "augmentations": lambda: [f"{entry['strength']:g}", names],
        "optimizers": lambda: [*_rates(entry), names],
        "schedules": lambda: [names],
    }  # fmt: skip
    return [entry["name"], entry["title"], *facts[kind](), entry["source"]]


def _rates(entry: Mapping[str, Any]) -> list[str]:
    return parameter_row(entry["parameters"]["lr"])[:2] if "lr" in entry["parameters"] else ["", ""]


def parameter_row(parameter: Mapping[str, Any]) -> list[str]:
    """Default, default at tiny where it differs, what it may be, and what it is."""
    default, tiny = _text(parameter["default"]), _text(parameter["default_tiny"])
    return [default, "" if tiny == default else tiny, _range(parameter), parameter["help"]]


def facts(entry: Mapping[str, Any]) -> dict[str, str]:
    """What is known of an entry besides its parameters, for people; what is not set is left out."""
    known = {key: value for key, value in entry.items() if key not in ("name", "title", "parameters")}
    return {key: _fact(value) for key, value in known.items() if value not in (None, "", [], {}, False)}


def short(source: str) -> str:
    """A source in a few characters: the paper, else the name without the modules around it."""
    paper = re.search(r"arXiv:[\d.]+\d", source)
    return (
        paper.group()
        if paper
        else re.sub(r"\b(mm\w+|albumentations)[\w./]*[./](?!py\b)(\w+(?:\.py)?)", r"\1 \2", source)
    )


def _fact(value: Any) -> str:
    """One line; a config fragment as many as it needs, indented."""
    if isinstance(value, (dict, list)) and any(isinstance(item, (dict, list)) for item in _items(value)):
        return "".join(f"\n    {line}" for line in pprint.pformat(value, width=94, sort_dicts=False).splitlines())
    return _text(value)


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _range(parameter: Mapping[str, Any]) -> str:
    low, high = parameter["low"], parameter["high"]
    if parameter["choices"]:
        return ", ".join(map(_text, parameter["choices"]))
    if parameter["kind"] == "bool":
        return "yes, no"
    if low is None and high is None:
        return "a text" if parameter["kind"] == "str" else "a number"
    least, most = _text(low), _text(high)
    bounds = f"from {least}" if high is None else f"up to {most}" if low is None else f"{least} to {most}"
    return f"{bounds}{', log' if parameter['log'] else ''}"


def _text(value: Any) -> str:
    if value is None:
        return NOT_SET
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(millions: float) -> str:
    return f"{millions:.1f}" if millions else ""


def _plain(value: Any) -> Any:
    """As JSON holds it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
