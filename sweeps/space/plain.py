"""YAML nodes -> plain data: mappings with texts as keys, lists, texts, finite numbers, booleans, null.

Tags that build anything else are refused, so that reading a file can never run code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from sweeps.space.problems import SpaceErrors, SpaceProblem, shown

MAX_VALUES = 20_000  # after aliases are followed: a few lines of aliases of aliases grow without bound
MAX_DEPTH = 40

_CORE = "tag:yaml.org,2002:"
_SCALARS = {_CORE + name for name in ("str", "int", "float", "bool", "null")}
_TEXTS = {_CORE + name for name in ("timestamp", "value", "merge")}  # not in YAML 1.2: plain text


@dataclass
class PlainBuilder:
    """Turns composed nodes into plain data.

    Attributes:
        path: what mistakes are reported under.
        yaml: the reader that composed the nodes.
        marks: dotted key -> (line, column), counted from 1, of all that was built.
        problems: mistakes found.
    """

    path: Path
    yaml: YAML
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[SpaceProblem] = field(default_factory=list)
    values: int = 0

    def build(self, node: Node, key: str = "", parents: tuple[int, ...] = ()) -> Any:
        """The plain value of a node that stands at a dotted key, inside the nodes `parents` (by id).

        Raises:
            SpaceErrors: too deep, or too many values.
        """
        self.values += 1
        if self.values > MAX_VALUES:
            message = f"the file and its aliases hold more than {MAX_VALUES:,} values"
            raise SpaceErrors([SpaceProblem(str(self.path), 1, 1, "", message)])
        if id(node) in parents:
            return self._refuse(node, key, "an alias inside what it stands for")
        if len(parents) > MAX_DEPTH:
            raise SpaceErrors([self._problem(node, key, f"nested more than {MAX_DEPTH} deep")])
        inside = (*parents, id(node))
        if isinstance(node, MappingNode) and node.tag == _CORE + "map":
            return self._mapping(node, key, inside)
        if isinstance(node, SequenceNode) and node.tag == _CORE + "seq":
            for number, item in enumerate(node.value):
                self._mark(f"{key}[{number}]", item)
            return [self.build(item, f"{key}[{n}]", inside) for n, item in enumerate(node.value)]
        return self._scalar(node, key)

    def _mapping(self, node: MappingNode, key: str, parents: tuple[int, ...]) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for name_node, value_node in node.value:
            if name_node.tag not in _SCALARS | _TEXTS:
                self._refuse(name_node, key, "expected a text as key")
                continue
            name = str(name_node.value)
            dotted = f"{key}.{name}" if key else name
            if name_node.tag == _CORE + "merge":
                self._refuse(name_node, dotted, "YAML 1.2 has no merge key", "write the keys out")
            elif name in plain:
                line = self.marks[dotted][0]
                self._refuse(name_node, dotted, f"the key stands here a second time (first in line {line})")
            else:
                self._mark(dotted, name_node)
                plain[name] = self.build(value_node, dotted, parents)
        return plain

    def _scalar(self, node: Node, key: str) -> Any:
        if node.tag in _TEXTS:
            return str(node.value)
        tag = str(node.tag).replace(_CORE, "!!")
        if node.tag not in _SCALARS or isinstance(node, (MappingNode, SequenceNode)):
            return self._refuse(node, key, f"the tag {tag} is not allowed", "write plain values")
        try:
            value = self.yaml.constructor.construct_object(node)
        except (ValueError, KeyError, MarkedYAMLError):
            return self._refuse(node, key, f"{shown(node.value)} is not a value of type {tag[2:]}")
        if isinstance(value, float) and not math.isfinite(value):
            return self._refuse(node, key, f"expected a finite number, found {node.value}")
        return value

    def _mark(self, key: str, node: Node) -> None:
        self.marks[key] = (node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, node: Node, key: str, message: str, suggestion: str | None = None) -> SpaceProblem:
        mark = node.start_mark
        return SpaceProblem(str(self.path), mark.line + 1, mark.column + 1, key, message, suggestion)

    def _refuse(self, node: Node, key: str, message: str, suggestion: str | None = None) -> None:
        self.problems.append(self._problem(node, key, message, suggestion))
