"""MMDetection configs as plain data: read from the zoo, changed by dotted path, written as a file."""

from __future__ import annotations

import ast
import copy
import importlib.util
import pprint
from collections.abc import Iterator, Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.config import RESERVED_KEYS

from runner.errors import UserError


def zoo_config(name: str) -> dict[str, Any]:
    """A config of the zoo in the installed mmdet wheel, without ``_base_``, as plain data."""
    spec = importlib.util.find_spec("mmdet")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / ".mim" / "configs" / name
    plain: dict[str, Any] = Config.fromfile(path).to_dict()
    return plain


def to_text(config: Mapping[str, Any]) -> str:
    """The config as Python source: one ``key = literal`` a top-level key.

    Values are written with ``repr``, so no text in them can become code. mmengine replaces ``{{ name }}`` in the
    file's text before it reads it, quotes included: two braces in a row are only ever found in texts, and there
    the second is written as an escape.
    """
    parts = []
    for key, value in config.items():
        literal = pprint.pformat(value, width=100, sort_dicts=False).replace("{{", "{\\x7b")
        parts.append(f"{key} = {literal}\n")
    return "\n".join(parts)


def from_text(text: str) -> dict[str, Any]:
    """What `to_text` wrote, read as data: no line of it runs, whoever wrote it.

    Raises:
        UserError: it is anything else than such a text.
    """
    found: dict[str, Any] = {}
    try:
        for line in ast.parse(text).body:
            if not (isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name)):
                raise ValueError(f"line {line.lineno} sets no key")
            found[line.targets[0].id] = ast.literal_eval(line.value)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise UserError(f"this is no config as sweep writes them: {error}") from error
    return found


def set_path(config: dict[str, Any], path: str, value: Any) -> None:
    """Sets a dotted path; list items by number. A leading ``+`` allows one that is not there yet.

    Raises:
        UserError: the path is not in the config (mmengine's own merge would add it without a word), or what it adds
            cannot be a name in a config file.
    """
    add, keys = path.startswith("+"), path.removeprefix("+").split(".")
    if add and keys[0] not in config and not _is_name(keys[0]):
        raise UserError(f"{path}: {keys[0]!r} cannot be a name in an MMDetection config")
    node: Any = config
    for depth, key in enumerate(keys[:-1]):
        index: Any = int(key) if isinstance(node, (list, tuple)) and key.isdigit() else key
        try:
            node = node[index]
        except (KeyError, IndexError, TypeError):
            if not (add and isinstance(node, dict)):
                raise UserError(_no_path(path, ".".join(keys[: depth + 1]), node)) from None
            node = node.setdefault(key, {})
    last: Any = int(keys[-1]) if isinstance(node, list) and keys[-1].isdigit() else keys[-1]
    known = last in node if isinstance(node, dict) else isinstance(last, int) and last < len(node)
    if not known and not (add and isinstance(node, dict)):
        raise UserError(_no_path(path, path.removeprefix("+"), node))
    node[last] = copy.deepcopy(value)


def nodes(node: object) -> Iterator[dict[str, Any]]:
    """Every dict below `node`, itself first."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from nodes(value)


def _is_name(key: str) -> bool:
    """Whether a config file can hold ``key = value`` and mmengine leaves it as it is."""
    return key.isidentifier() and not iskeyword(key) and not key.startswith("_") and key not in RESERVED_KEYS


def _no_path(path: str, where: str, node: object) -> str:
    if not isinstance(node, dict):
        return f"{where} is not in the rendered config: there is {node!r}, which has no keys"
    return f"{where} is not in the rendered config, there are {', '.join(sorted(map(str, node)))}; +{path} adds one"
