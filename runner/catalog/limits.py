"""Combinations that cannot work, each with its reason: `sweep check` refuses them before any trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runner.protocol import Scalar


@dataclass(frozen=True)
class Limit:
    """What cannot work together. For what cannot, not for what nobody has made work.

    Attributes:
        when: part or setting -> names or values; it applies where every key has one of them, as a rule of ``forbid``.
        reason: why, as one sentence that goes on after the names ("mask2former has no boxes to crop by").
        scale: where it applies; None is everywhere.
    """

    when: Mapping[str, tuple[Scalar, ...]]
    reason: str
    scale: Literal["tiny", "standard"] | None = None


LIMITS: tuple[Limit, ...] = ()
