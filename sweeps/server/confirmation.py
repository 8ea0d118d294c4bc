"""The messages that confirm a study on a team's server: what is trained again, and scores on images held out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Base64Bytes, Field, FiniteFloat

from results.records import HeldRecord
from runner.protocol import Message

_MOST = 1000  # combinations, and seeds of each


class Asked(Message):
    """Further seeds.

    Attributes:
        top: how many combinations of the ranking get them; the baseline gets them as well.
        seeds: how many each.
        only: combinations that are named instead of the `top` ones: the best, a baseline, or both in this order.
    """

    top: int = Field(ge=1, le=_MOST)
    seeds: int = Field(ge=1, le=_MOST)
    only: tuple[Annotated[str, Field(max_length=200)], ...] = Field(default=(), max_length=2)


class HeldScore(Message):
    """A `results.records.HeldRecord` as it travels: its evidence is base64."""

    metrics: dict[Annotated[str, Field(max_length=200)], FiniteFloat | None] = Field(max_length=_MOST)
    evidence: Base64Bytes | None
    scored_at: datetime

    @classmethod
    def of(cls, held: HeldRecord) -> HeldScore:
        """The message for a record."""
        # the type takes what is encoded already
        return cls.model_construct(metrics=held.metrics, evidence=held.evidence, scored_at=held.scored_at)

    def record(self) -> HeldRecord:
        """The record of a message."""
        return HeldRecord(dict(self.metrics), self.evidence, self.scored_at)
