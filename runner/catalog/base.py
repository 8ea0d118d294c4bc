"""What an entry of the catalog is. Plain data: no torch, no MMDetection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["float", "int", "bool", "str"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a part.

    Attributes:
        kind: what a value must be.
        default: used where a space says nothing.
        low, high: bounds a value must keep (inclusive); None is unbounded.
        choices: the only values allowed, where there is such a list.
        log: whether a search over it is sensibly logarithmic.
        help: one line for people.
        tiny: the default at scale tiny, where it differs.
        own: MMDetection's value where the default is None, which leaves it as it is; None where that is not one value.
    """

    kind: Kind
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    log: bool = False
    help: str = ""
    tiny: Any = None
    own: Any = None

    def at(self, scale: str) -> Any:
        """The default at `scale`."""
        return self.tiny if scale == "tiny" and self.tiny is not None else self.default

    def problem(self, value: object) -> str | None:
        """Why `value` cannot be this parameter ("expected a number from 0 to 1, found 3"), or None."""
        wanted: tuple[type, ...] = {
            "float": (int, float), "int": (int,), "bool": (bool,), "str": (str,)
        }[self.kind]  # fmt: skip
        word = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "a text"}[self.kind]
        if not isinstance(value, wanted) or (self.kind != "bool" and isinstance(value, bool)):
            return f"expected {word}, found {value!r}"
        if self.choices and value not in self.choices:
            return f"expected one of {', '.join(map(str, self.choices))}, found {value!r}"
        if isinstance(value, (int, float)) and self.kind in ("float", "int"):
            low, high = self.low, self.high
            if (low is not None and value < low) or (high is not None and value > high):
                bounds = (
                    f"from {low:g}"
                    if high is None
                    else f"up to {high:g}"
                    if low is None
                    else f"from {low:g} to {high:g}"
                )
                return f"expected {word} {bounds}, found {value!r}"
        return None


@dataclass(frozen=True)
class Entry:
    """A name one can choose.

    Attributes:
        name: as written in a space.
        title: as people write it.
        source: paper or MMDetection folder.
        parameters: what can be set, by name.
    """

    name: str
    title: str
    source: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def contradiction(self, params: Mapping[str, Any]) -> str | None:
        """Which of its parameters (complete, with defaults) cannot stand together, in one line; None where all can."""
        return None
