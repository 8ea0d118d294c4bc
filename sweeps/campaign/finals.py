"""The end of a campaign again, with more seeds: of its best, and of the combination that it began with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from results.confirmation import judges
from results.reader import Reader
from results.records import StudyRecord
from results.stages import finalists
from results.store import Store
from runner.errors import UserError
from runner.protocol import DataPaths
from sweeps import heldout
from sweeps.campaign.show import stages_of
from sweeps.confirm import give_seeds, ordered
from sweeps.remote import Remote
from sweeps.space.schema import SearchSpace
from sweeps.study.study import Study


@dataclass(frozen=True)
class Finalists:
    """Combinations of one stage of a campaign: its best, its baseline, or both (a `sweeps.confirm.Confirmation`).

    Attributes:
        combinations: the best first.
        seeds: further ones for each.
    """

    combinations: tuple[str, ...]
    seeds: int

    def begin(self, study: Study) -> None:
        """Orders the seeds that are still to be trained.

        Raises:
            UserError: the images held out are not those of the study.
        """
        give_seeds(study, 1, self.seeds, self.combinations)

    def conclude(self, store: Store, space: SearchSpace, gpus: Sequence[str]) -> int:
        """Scores all of them on the images held out; what that says, the campaign's own table shows.

        Raises:
            UserError, ResultsError: one cannot be scored.
        """
        found, wanted, trials = ordered(store, space.study)
        if holdout := DataPaths.model_validate(found.data).holdout:
            look_at = [one for name in self.combinations for one in judges(wanted.entry(name), trials)]
            heldout.score(store, found, space.plugins, holdout, look_at, gpus)
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
