"""What a group of a model's parameters is, and where each is written below ``model`` in the MMDetection config.

Where a default is None, MMDetection's own value is left as it is; the help text names it. A path goes through dicts
by key and lists by number; ``*`` is every item of a list, or the node itself where there is no list (a cascade has
one head a stage, Mask R-CNN one).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.catalog.base import Parameter

Paths = Mapping[str, tuple[str, ...]]
# parameter -> its value -> path -> what is written there
Choices = Mapping[str, Mapping[Any, Mapping[str, Any]]]


@dataclass(frozen=True)
class Ordered:
    """Two parameters of which the first must not be above the second; with MMDetection's own values of both."""

    low: str
    low_own: float
    high: str
    high_own: float


@dataclass(frozen=True)
class Group:
    """Parameters that several models have.

    Attributes:
        parameters: by name.
        sets: parameter -> paths where its value is written.
        choices: parameter -> value -> path -> what is written there.
        spread: paths of lists with one item a stage, from ``iou_low`` at the first to ``iou_high`` at the last.
        ordered: which must not be above which.
    """

    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    sets: Paths = field(default_factory=dict)
    choices: Choices = field(default_factory=dict)
    spread: tuple[str, ...] = ()
    ordered: tuple[Ordered, ...] = ()

    def __or__(self, other: Group) -> Group:
        """Both groups; where they differ `other` holds."""
        return Group(
            {**self.parameters, **other.parameters}, {**self.sets, **other.sets}, {**self.choices, **other.choices},
            self.spread + other.spread, self.ordered + other.ordered,
        )  # fmt: skip


def iou(text: str, own: float | None = None) -> Parameter:
    """A threshold of overlap, from 0 to 1; `own` is MMDetection's."""
    return Parameter(
        "float", None, 0.05, 0.95, own=own, help=text if own is None else f"{text}; MMDetection's own: {own:g}"
    )


def score(own: float) -> Parameter:
    """The score below which a detection is dropped; `own` is MMDetection's."""
    return Parameter(
        "float", None, 0, 0.95, own=own, help=f"detections below this score are dropped; MMDetection's own: {own:g}"
    )


MASK_THRESHOLD = Parameter(
    "float", None, 0.05, 0.95, own=0.5, help="a pixel above it is the object's; MMDetection's own: 0.5"
)
NMS = "of two detections that overlap more the lower score goes"


def weight(what: str, own: float) -> Parameter:
    """The weight of a loss; `own` is MMDetection's."""
    help_text = f"weight of the {what} loss; MMDetection's own: {own:g}"
    return Parameter("float", None, 0, 100, log=True, own=own, help=help_text)


def simple(name: str, parameter: Parameter, *paths: str) -> Group:
    """One parameter, written as it is to each path."""
    return Group({name: parameter}, {name: paths})


def mask_sizes(paths: Mapping[str, float], sizes: tuple[int, ...] = (14, 28, 56), own: int = 28) -> Group:
    """``mask_size``, the side of a predicted mask; each path gets the size times its factor."""
    help_text = f"side of a predicted mask in pixels; MMDetection's own: {own}"
    writes = {size: {path: round(size * factor) for path, factor in paths.items()} for size in sizes}
    return Group({"mask_size": Parameter("int", None, choices=sizes, help=help_text)}, {}, {"mask_size": writes})


def box_losses(path: str, own: str, **losses: Mapping[str, Any]) -> Group:
    """A choice of the box loss at `path`."""
    parameter = Parameter("str", None, choices=tuple(losses), help=f"loss of boxes; MMDetection's own: {own}")
    writes = {name: {path: dict(loss)} for name, loss in losses.items()}
    return Group({"loss_bbox": parameter}, {}, {"loss_bbox": writes})
