"""The end of a campaign again, with more seeds: of its best, and of the combination that it began with."""

from __future__ import annotations

from dataclasses import dataclass

from results.ranking.stages import finalists
from results.reader import Reader
from results.records import StudyRecord
from runner.errors import UserError
from runner.protocol import DataPaths, Plugin
from sweeps.access.remote import Remote
from sweeps.campaign.show import stages_of
from sweeps.confirm.confirm import ordered, score
from sweeps.confirm.heldout import Scorer
from sweeps.server.confirmation import Asked


@dataclass(frozen=True)
class Finalists:
    """Combinations of one stage of a campaign: its best, its baseline, or both.

    It is a `sweeps.confirm.confirm.Confirmation`.

    Attributes:
        combinations: the best first.
        seeds: further ones for each.
    """

    combinations: tuple[str, ...]
    seeds: int

    @property
    def asked(self) -> Asked:
        """These."""
        return Asked(top=1, seeds=self.seeds, only=self.combinations)

    def conclude(self, scorer: Scorer, study: str, plugins: tuple[Plugin, ...]) -> int:
        """Scores all of them on the images held out; what that says, the campaign's own table shows.

        Raises:
            UserError, ResultsError: one cannot be scored.
        """
        found = ordered(scorer.reader, study)
        if DataPaths.model_validate(found[0].data).holdout:
            score(scorer, found, self.combinations, plugins)
        return 0


def finals(reader: Reader | Remote, campaign: str, seeds: int) -> list[tuple[StudyRecord, Finalists]]:
    """What is trained again where a campaign is confirmed: its best and its baseline, a study at a time.

    Raises:
        UserError: no trial is complete.
    """
    sides = finalists(stages_of(reader, campaign))
    if sides is None:
        raise UserError(f"no trial of campaign {campaign} is complete yet, so there is nothing to confirm")
    found: dict[str, tuple[StudyRecord, list[str]]] = {}
    seen = set()
    for stage, standing in sides:
        if standing.combination not in seen:
            found.setdefault(stage.record.name, (stage.record, []))[1].append(standing.combination)
        seen.add(standing.combination)
    return [(record, Finalists(tuple(combinations), seeds)) for record, combinations in found.values()]
