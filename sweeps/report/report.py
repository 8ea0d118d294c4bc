"""All of a report as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from results.ranking.rows import finite
from results.records import StudyRecord, TrialRecord
from runner.errors import UserError
from sweeps.report.effects import Effect, Interaction, Trend, effects, interactions, trend
from sweeps.report.importance import FEWEST, Importance, importance
from sweeps.report.points import Point, points, stopped
from sweeps.space.schema import SearchSpace


@dataclass(frozen=True)
class Report:
    """What a study teaches.

    Attributes:
        points: its combinations by score.
        importance: of each parameter by PED-ANOVA, the greatest first; empty where there are too few points.
        best: how many of them count as the best there.
        stopped: how many further combinations a pruner stopped.
    """

    record: StudyRecord
    points: tuple[Point, ...]
    importance: tuple[Importance, ...]
    best: int
    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]
    trends: tuple[Trend, ...]
    stopped: int

    @property
    def notes(self) -> list[str]:
        """What a reader must know."""
        few = f"{len(self.points)} combinations are too few to say which choice matters: {FEWEST} are needed"
        how = (
            f"importance: PED-ANOVA, how a choice is distributed among the best {self.best} of {len(self.points)} "
            "combinations and among all, as a share of all choices; p: chance of as much if scores were dealt at random"
        )
        together = (
            "interaction: share of the scores' variance that two choices explain together beyond each alone; p: chance "
            "of as much by noise, for that pair alone"
        )
        left_out = (
            "means, importance and interactions are of combinations with a complete trial only: the pruner stopped "
            f"{self.stopped} more, each for a worse score at that epoch than others had"
        )
        return [
            how if self.importance else few,
            *([left_out] if self.stopped else []),
            "means are of what was tried: where a sampler chose, it tried the good more often and together",
            *([together] if self.interactions else []),
        ]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "study": self.record.name,
            "objective": self.record.objective,
            "combinations": len(self.points),
            "stopped": self.stopped,
            "importance": [asdict(one) for one in self.importance],
            "best": self.best,
            "effects": [asdict(one) for one in self.effects],
            "interactions": [
                {
                    "parameters": [one.one, one.other],
                    "share": one.share,
                    "p": finite(one.p),
                    "cells": [{"values": list(pair), "mean": mean} for pair, mean in one.cells.items()],
                }
                for one in self.interactions
            ],
            "trends": [asdict(one) for one in self.trends],
            "notes": self.notes,
        }


def report(record: StudyRecord, trials: Sequence[TrialRecord], space: SearchSpace) -> Report:
    """What the complete trials of a study teach.

    Raises:
        UserError: there are none.
    """
    found = points(trials)
    if not found:
        raise UserError(f"no trial of study {record.name} is complete yet; see: sweep status")
    without = stopped(trials)
    shares, best = importance(space, found)
    sized = [(float(one.parameters), one.score) for one in found if one.parameters]
    strong = [(one.strength, one.score) for one in found if one.strength is not None]
    trends = [trend("parameters of the model", sized), trend("strength of the augmentations", strong)]
    return Report(
        record, tuple(found), tuple(shares), best, tuple(effects(found, without)),
        tuple(interactions(found, without)), tuple(one for one in trends if one), len(without),
    )  # fmt: skip
