"""Campaigns whose trainings are made up: real store, Optuna and leases, and figures that follow what is tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from made_up import ASK, data, tables, train

from results.ranking.stages import Stages, finalists
from results.records import HeldRecord, StudyRecord, TrialRecord
from results.store import Store
from runner.protocol import DataPaths, LeaseRequest
from sweeps.campaign.document import Campaign, read_campaign
from sweeps.campaign.stages import Options, look_ahead
from sweeps.campaign.start import conduct
from sweeps.leases.coordinator import Coordinator
from sweeps.run.run import Outcome
from sweeps.space.schema import SearchSpace
from sweeps.study.setup import open_study
from sweeps.study.study import Study

TWO_STAGES = """\
campaign: particles
data: demo
scale: tiny
fixed: {augmentation: flip, epochs: 1}
stages:
  models:
    search: {model: [mask_rcnn, cascade_mask_rcnn, solov2]}
  backbones:
    search: {backbone: [resnet18, resnet50]}
"""
MODELS = {"mask_rcnn": 0.3, "cascade_mask_rcnn": 0.5, "solov2": 0.1}
BACKBONES = {"resnet18": 0.0, "resnet50": 0.05}
ALONE = Options(None, None, 0)
Scores = Callable[[TrialRecord], float | None]


@dataclass
class Bench:
    """A folder with a campaign and its database; stages are trained by `scores`, a trial without one fails.

    Attributes:
        stop_in: a stage that somebody ends after its first trial.
        stopped: by `sweep stop`, and not by Ctrl-C.
        fault: what ended it there instead.
        held: what a trial scores on the images held out; None where nothing is held out.
        ran: the stages that were run, in order.
    """

    folder: Path
    scores: Scores
    text: str = TWO_STAGES
    stop_in: str | None = None
    stopped: bool = False
    fault: str | None = None
    ran: list[str] = field(default_factory=list)
    data: DataPaths = field(default_factory=data)
    held: Callable[[TrialRecord], HeldRecord] | None = None

    @property
    def storage(self) -> str:
        return f"sqlite:///{self.folder / 'sweeps.db'}"

    def rows(self, stage: str) -> list[TrialRecord]:
        """The trials of a stage."""
        with Store.open(self.storage, readonly=True) as store:
            return store.trials(f"particles.{stage}")

    def read(self, *overrides: str) -> Campaign:
        path = self.folder / "campaign.yaml"
        path.write_text(self.text, encoding="utf-8")
        campaign, problems = read_campaign(path, overrides)
        look_ahead(campaign, problems, ALONE)
        return campaign

    def start(self, *overrides: str) -> int:
        """As `sweep start` does, without a server and workers between the study and its trainings."""
        campaign = self.read(*overrides)
        if not (self.folder / "sweeps.db").exists():
            (self.folder / "sweeps.db").write_bytes(tables())
        with Store.open(self.storage) as self.reader:
            return conduct(campaign, ALONE, self, "tiny", self.data, "sweep start campaign.yaml")

    def first(self) -> SearchSpace:
        """The space of the first stage."""
        return look_ahead(*read_campaign(self.folder / "campaign.yaml", ()), ALONE)[0]

    def finished(self, record: StudyRecord, space: SearchSpace) -> bool:
        return record.state == "finished"

    def run(self, space: SearchSpace) -> Outcome:
        self.ran.append(space.study.rpartition(".")[2])
        record = open_study(self.reader, space, "tiny", self.data, self.folder / "work_dirs")
        study = Study(self.storage, self.reader, record, space, self.data)
        trained(Coordinator(study), self.scores, 1 if self.ran[-1] == self.stop_in else None)
        state = "stopped" if study.end() is None else "finished"
        self.reader.set_state(space.study, state, study.end())
        ended = state == "stopped"
        return Outcome(state, ended and not (self.stopped or self.fault), self.fault if ended else None)

    def conclude(self, stages: Stages, spaces: Sequence[SearchSpace]) -> None:
        for stage, standing in (finalists(stages) or ()) if self.held else ():
            for row in stage.trials:
                if row.number in standing.trials:
                    self.reader.add_holdout(stage.record.name, row.number, self.held(row))

    reader: Store = field(init=False)


def trained(coordinator: Coordinator, scores: Scores, trials: int | None = None) -> None:
    """Trains until nothing is left, or so many trials."""
    asks = LeaseRequest(worker="w1", owner="Ann", device="cpu", ready={coordinator.name: ""})
    done = 0
    while (trials is None or done < trials) and (lease := coordinator.lease(asks).lease):
        found = scores(coordinator.study.row(lease.trial))
        train(coordinator, lease, lambda trial, epoch, found=found: found)  # type: ignore[misc]
        done += 1


def score(row: TrialRecord) -> float:
    """What a trial scores where nothing else is asked for: its model's, and a little of its backbone's."""
    return MODELS[tried(row, "model")] + BACKBONES[tried(row, "backbone")]


def tried(row: TrialRecord, part: str) -> str:
    """The name of a part of a trial."""
    return str(row.parts[part]["name"])


__all__ = ["ALONE", "ASK", "MODELS", "TWO_STAGES", "Bench", "score", "trained", "tried"]
