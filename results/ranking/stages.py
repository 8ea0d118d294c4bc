"""Pure: the studies of a campaign, one after the other -> which of them gained what, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from results.ranking import tried
from results.ranking.confirmation import Entry, Order, contender, leader, pick
from results.ranking.heldout import Contender, Outcome, compared, seed_noise
from results.ranking.ranking import ranked
from results.ranking.rows import finite
from results.ranking.standings import Standing, runs_of, stand, unpacked
from results.records import HeldRecord, StudyRecord, TrialRecord

if TYPE_CHECKING:  # numpy and scipy are loaded only where there is evidence to weigh
    from results.statistics.seednoise import SeedNoise

_IMAGES = "train_dataloader."  # settings of MMDetection's config that say which images are trained
Evidence = Callable[[str, Sequence[int]], Mapping[int, bytes]]


@dataclass(frozen=True)
class Gain:
    """A difference of two means, best of a stage minus best before it.

    Attributes:
        value: in units of the score.
        interval: 95 %, None without evidence.
        covers: what the interval is over.
    """

    value: float
    interval: tuple[float, float] | None = None
    covers: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "value": self.value,
            "interval": list(self.interval) if self.interval else None,
            "covers": self.covers,
        }


@dataclass(frozen=True)
class Stage:
    """A stage that has begun.

    Attributes:
        record: its study.
        trials: all of them.
        best: the combination that had the highest mean when that was decided, with all seeds that it has now; None
            while no trial is complete.
        label: what that is made of, as far as the stage varied it.
        gain: of `best` over the best of the stages before, in the first stage over the first combination of its list;
            None also where it was not trained as those were (`trained_alike`).
        promised: the highest mean when it was decided what the stage had found.
        leads: whether the next stage starts from it: it had the campaign's best so far, by what was promised, or was
            not trained as the stages before.
    """

    record: StudyRecord
    trials: tuple[TrialRecord, ...]
    best: Standing | None = None
    label: str = ""
    gain: Gain | None = None
    promised: float = 0.0
    leads: bool = False

    @property
    def name(self) -> str:
        """Without the campaign's."""
        return self.record.name.rpartition(".")[2]

    @property
    def trial(self) -> TrialRecord | None:
        """The best seed of the best combination, as `results.export.pick` has it."""
        return pick(self.trials, best=self.best)[0] if self.best else None

    @property
    def complete(self) -> int:
        """How many trials have a place."""
        return sum(map(ranked, self.trials))

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        trial = self.trial
        return {
            "stage": self.name,
            "study": self.record.name,
            "state": self.record.state,
            "reason": self.record.reason,
            "trials": len(self.trials),
            "complete": self.complete,
            "best": self.best.document() if self.best else None,
            "label": self.label,
            "parts": trial.trained if trial else None,
            "gain": self.gain.document() if self.gain else None,
            "leads": self.leads,
            "seconds": sum(one.seconds or 0.0 for one in self.trials),
        }


@dataclass(frozen=True)
class Stages:
    """A campaign so far.

    Attributes:
        campaign: its name.
        stages: those that have begun, in order.
        baseline: what the first combination of the first stage is made of, as far as that stage varied it.
        total: what the campaign's best gained over it, if both were trained alike.
        images: over how many the intervals are, 0 where there are none.
        noise: standard deviation between seeds over all stages, None where nothing was repeated.
    """

    campaign: str
    stages: tuple[Stage, ...]
    baseline: str | None = None
    total: Gain | None = None
    images: int = 0
    noise: float | None = None

    @property
    def winner(self) -> Stage | None:
        """The stage that has the campaign's best combination."""
        return next((one for one in reversed(self.stages) if one.leads), None)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        winner = self.winner
        objective = self.stages[0].record.objective if self.stages else None
        found = {
            "campaign": self.campaign,
            "objective": objective,
            "stages": [one.document() for one in self.stages],
            "baseline": self.baseline,
            "winner": {"study": winner.record.name, "trial": winner.trial.number} if winner and winner.trial else None,
            "total": self.total.document() if self.total else None,
            "images": self.images,
            "seed_noise": self.noise,
        }
        made: dict[str, Any] = finite(found)
        return made


def weigh(campaign: str, studies: Sequence[tuple[StudyRecord, Sequence[TrialRecord]]], evidence: Evidence) -> Stages:
    """The stages of a campaign.

    Args:
        campaign: its name.
        studies: each stage's study and its trials, in order.
        evidence: what trials of a study have kept of their images (`Reader.evidence`).
    """
    records = [record for record, _ in studies]
    stages = [_stage(record, trials, decided(record, records)) for record, trials in studies]
    noise = between_seeds(stages)
    incumbent: tuple[Stage, Standing] | None = None
    highest = 0.0
    baseline, images = _baseline(stages[0]) if stages else None, 0
    for number, stage in enumerate(stages):
        if stage.best is None:
            continue
        alike = incumbent is None or trained_alike(incumbent[0].trials, stage.trials)
        against = incumbent or (baseline and (stage, baseline))
        gain, seen = _gain((stage, stage.best), against, noise, evidence) if against and alike else (None, 0)
        images = max(images, seen)
        leads = incumbent is None or not alike or highest <= stage.promised
        stages[number] = replace(stage, gain=gain, leads=leads)
        if leads:
            incumbent, highest = (stage, stage.best), stage.promised
    total, label = None, None
    if incumbent and baseline:
        if trained_alike(incumbent[0].trials, stages[0].trials):
            total, _ = _gain(incumbent, (stages[0], baseline), noise, evidence)
        label = _label(stages[0], baseline)
    return Stages(campaign, tuple(stages), label, total, images, noise.deviation if noise else None)


def trained_alike(one: Sequence[TrialRecord], other: Sequence[TrialRecord]) -> bool:
    """Whether scores of two stages can be compared: both fix the same epochs, image size, share and choice of
    training images.

    What a stage searches of these is part of its combinations, and can be compared.
    """
    ours, theirs = _fixed(one), _fixed(other)
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def _fixed(trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """What all of a stage have of epochs, image size, share and choice of training images."""
    kept = [
        {name: trial.parts["settings"].get(name) for name in ("epochs", "image_size")}
        | {"train_share": trial.parts["settings"].get("train_share", 1.0)}
        | {"images": {k.lstrip("+"): v for k, v in trial.parts["config"].items() if _IMAGES in k and v is not None}}
        for trial in trials
    ]
    return {name: value for name, value in kept[0].items() if all(one[name] == value for one in kept)} if kept else {}


def campaign_of(study: str) -> str:
    """The campaign that a study would be a stage of, by its name (`Campaign.study` makes it); "" for none."""
    return study.rpartition(".")[0]


def decided(record: StudyRecord, studies: Sequence[StudyRecord]) -> datetime | None:
    """When it was decided what a stage had found: the next one of its campaign began. None if none has.

    What ends later (seeds of a confirmation, a trial tried again) changes the stage's ranking, but not the campaign.
    """
    campaign = campaign_of(record.name)
    later = [one.created_at for one in studies if campaign_of(one.name) == campaign]
    return min((at for at in later if at > record.created_at), default=None)


def in_time(trials: Sequence[TrialRecord], until: datetime | None) -> list[TrialRecord]:
    """The trials that had ended by then."""
    return [one for one in trials if until is None or (one.finished_at is not None and one.finished_at <= until)]


def places(record: StudyRecord, trials: Sequence[TrialRecord], until: datetime | None) -> list[Standing]:
    """What a stage had found when that was decided, the best first; after a confirmation in time what that says."""
    known = in_time(trials, until)
    best = leader(known, record.confirmation)
    return [best, *(one for one in stand(known).standings if one.combination != best.combination)] if best else []


def between_seeds(stages: Sequence[Stage]) -> SeedNoise | None:
    """The noise between seeds of validation scores, learnt from all stages together."""
    return seed_noise([(stage.trials, stand(stage.trials).standings) for stage in stages])


def held_out(stages: Stages, held: Callable[[str], Mapping[int, HeldRecord]]) -> Outcome | None:
    """The campaign's best and its baseline on the images that no stage has seen; None until both are scored there.

    Seeds that were trained after the choice stand for a combination, where there are any.

    Args:
        stages: of the campaign.
        held: study -> scores on these images by trial (`Reader.holdout`).

    Raises:
        ResultsError: a score lacks its figure or its evidence.
    """
    sides = finalists(stages)
    if not sides:
        return None
    scores = {stage.record.name: held(stage.record.name) for stage in stages.stages}
    known = [_contender(*side, scores[side[0].record.name]) for side in sides]
    if known[0].combination == known[1].combination:  # trained in two stages, maybe: one of them will do
        known = [one for one in known if one.trials][:1] * 2
    if not known or not all(one.trials for one in known):
        return None
    seen = {
        trial.combination for stage in stages.stages for trial in stage.trials
        if trial.number in scores[stage.record.name]
    }  # fmt: skip
    objective = stages.stages[0].record.objective
    return compared(objective, known[0], known[1], len(seen), lambda: between_seeds(stages.stages))


def finalists(stages: Stages) -> tuple[tuple[Stage, Standing], tuple[Stage, Standing]] | None:
    """The campaign's best and its baseline, each in its stage; None where nothing is complete."""
    winner, baseline = stages.winner, _baseline(stages.stages[0]) if stages.stages else None
    if not winner or not winner.best or not baseline:
        return None
    return (winner, winner.best), (stages.stages[0], baseline)


def _contender(stage: Stage, standing: Standing, held: Mapping[int, HeldRecord]) -> Contender:
    ordered = Order.read(stage.record.confirmation).entries if stage.record.confirmation else ()
    plain = Entry(standing.combination, standing.trials, standing.mean, (), True)
    entry = next((one for one in ordered if one.combination == standing.combination), plain)
    fresh = entry.fresh(stage.trials)
    looked_at = [one for one in fresh if one.number in held] or [t for t in stage.trials if t.number in entry.trials]
    return contender(entry, stage.trials, looked_at, held)


def _stage(record: StudyRecord, trials: Sequence[TrialRecord], until: datetime | None) -> Stage:
    stage = Stage(record, tuple(sorted(trials, key=lambda trial: trial.number)))
    if not (found := places(record, trials, until)):
        return stage
    promised = found[0].mean
    if until is None and record.confirmation:  # nothing has started from it yet: the seeds of its end say who wins it,
        complete = Order.read(record.confirmation).complete  # not whether it has won
        promised = max([promised, *(one.mean for one in stand([t for t in trials if t.number in complete]).standings)])
    best = stand(stage.trials).of(found[0].combination)  # with seeds that came later, too: which one is the best stands
    return replace(stage, best=best, label=_label(stage, found[0]), promised=promised)


def _label(stage: Stage, standing: Standing) -> str:
    names = [name for name in tried.varied(stage.trials) if name != "seed"]
    return tried.label(next(one for one in stage.trials if one.number == standing.trials[0]), names)


def _baseline(stage: Stage) -> Standing | None:
    """The combination of the complete trial with the lowest number, as in the ranking."""
    first = next((trial for trial in stage.trials if ranked(trial)), None)
    return stand(stage.trials).of(first.combination) if first else None


def _gain(
    one: tuple[Stage, Standing], other: tuple[Stage, Standing], noise: SeedNoise | None, evidence: Evidence
) -> tuple[Gain, int]:
    """The difference of two means, and over how many images its interval is."""
    gain = Gain(one[1].mean - other[1].mean)
    if one[1].combination == other[1].combination and one[1].seeds == other[1].seeds:
        return gain, 0  # the same training once more
    blobs: dict[int, bytes] = {}  # trials of two studies may have one number
    scores: dict[int, float] = {}
    renumbered = []
    for stage, standing in (one, other):
        kept = evidence(stage.record.name, standing.trials)
        if len(kept) < len(standing.trials):
            return gain, 0
        numbers = []
        for trial in stage.trials:
            if trial.number in kept and trial.score is not None:
                numbers.append(len(blobs))
                scores[len(blobs)], blobs[len(blobs)] = float(trial.score), kept[trial.number]
        renumbered.append(replace(standing, trials=tuple(numbers)))
    objective = one[0].record.objective
    found, _ = unpacked(blobs, objective, scores)
    if len(found) < len(blobs):
        return gain, 0
    from results.statistics import confidence

    images = len(found[0].images)
    ours, theirs = runs_of(objective, renumbered, found, scores)
    interval = confidence.difference(ours, theirs, noise, images).interval()
    return replace(gain, interval=interval, covers="images" if noise is None else "images and seeds"), images
