"""``sweep start CAMPAIGN``: one stage after the other, here or on a team's server; started again, it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import click

from results.ranking.stages import Stages, finalists
from results.reader import Reader
from results.records import StudyRecord
from results.store import Store
from runner.errors import INTERRUPTED, UserError
from runner.machine import gpus
from runner.protocol import DataPaths, Scale
from sweeps.access import runfile
from sweeps.access.remote import Remote
from sweeps.access.source import Source
from sweeps.access.watch import PATIENCE, watch
from sweeps.campaign.course import Course, found
from sweeps.campaign.document import TOTAL, Campaign
from sweeps.campaign.show import print_stages, stages_of
from sweeps.campaign.stages import Options, stage_space
from sweeps.campaign.total import capped, left_of, spent
from sweeps.confirm.heldout import Scorer
from sweeps.run.interrupts import Interrupts, let_interrupt
from sweeps.run.owning import follow, owner, owning
from sweeps.run.run import Outcome, Plan, run_study
from sweeps.run.submit import submit
from sweeps.space.schema import Budget, SearchSpace
from sweeps.space.walk import planned
from sweeps.study.setup import check_identity
from sweeps.study.study import Study

_LOOK_SECONDS = 0.5  # between two looks for the next stage
_RENAME = "put the file back as it was, or begin another campaign with --set campaign=NAME"


class Place(Protocol):
    """Where stages run."""

    @property
    def reader(self) -> Reader | Remote:
        """Of the studies there."""

    def finished(self, record: StudyRecord, space: SearchSpace) -> bool:
        """Whether a stage has come to its end: it begins no new trial."""

    def run(self, space: SearchSpace) -> Outcome:
        """Runs a stage, or goes on with it, until it ends or is ended."""

    def conclude(self, stages: Stages, spaces: Sequence[SearchSpace]) -> None:
        """Scores the campaign's best and its baseline on the images held out, as far as that was not done yet."""


@dataclass
class Here:
    """This machine.

    Attributes:
        plan: of any stage.
        store: of the database, which is ours.
    """

    plan: Plan
    store: Store
    interrupts: Interrupts

    @property
    def reader(self) -> Reader:
        """The store."""
        return self.store

    def finished(self, record: StudyRecord, space: SearchSpace) -> bool:
        """Whether its last run came to its end; a team's server, or who was killed, has not written so."""
        if record.state == "finished":
            return True
        data = DataPaths.model_validate(record.data)
        return not Study(self.plan.storage, self.store, record, space, data).more_to_try()

    def run(self, space: SearchSpace) -> Outcome:
        """Trains it; whoever ended it between two stages does not see another one begin."""
        if self.interrupts.count:
            return Outcome("stopped", True, None)
        return run_study(replace(self.plan, space=space), self.store, self.interrupts)

    def conclude(self, stages: Stages, spaces: Sequence[SearchSpace]) -> None:
        """Once each: what was scored is not scored again."""
        if self.plan.data.holdout is None:
            return
        if self.interrupts.count:
            raise KeyboardInterrupt
        runfile.remove(self.plan.storage)  # nobody answers any more
        let_interrupt()
        plan = self.plan
        _score(Scorer(self.store, plan.storage, plan.gpus, plan.data.holdout), stages, spaces)


@dataclass
class There:
    """A team's server: stages are handed over one by one, by whoever watches."""

    reader: Remote
    scale: Scale
    data: DataPaths

    def finished(self, record: StudyRecord, space: SearchSpace) -> bool:
        """Whether the server says so, or why it ended although seeds of it that somebody ordered are trained."""
        status = self.reader.status(record.name)
        return status["state"] == "finished" or (status["state"] == "running" and status["reason"] is not None)

    def run(self, space: SearchSpace) -> Outcome:
        """Hands it over and watches it; Ctrl-C ends the watching only."""
        try:
            submit(self.reader, space, self.scale, self.data)
            state = watch(self.reader, space.study)
        except KeyboardInterrupt:
            self.reader.patience = 0.0
            return Outcome("stopped", True, None)
        if state == "finished":
            return Outcome("finished", False, None)
        record = self.reader.study(space.study)
        return Outcome("paused", False, f"study {space.study} is {state}: {(record and record.reason) or 'by a user'}")

    def conclude(self, stages: Stages, spaces: Sequence[SearchSpace]) -> None:
        """The checkpoints come from the server; the images lie here, as the data file says."""
        if self.data.holdout is None:
            return
        try:
            _score(Scorer(self.reader, "", tuple(gpus()), self.data.holdout), stages, spaces)
        except UserError as error:  # the campaign has come to its end all the same
            click.echo(f"sweep: {error}", err=True)


def _score(scorer: Scorer, stages: Stages, spaces: Sequence[SearchSpace]) -> None:
    plugins = {space.study: space.plugins for space in spaces}
    for stage, standing in finalists(stages) or ():
        trials = [one for one in stage.trials if one.number in standing.trials]
        scorer.score(stage.record, plugins.get(stage.record.name, ()), trials)


def start_here(campaign: Campaign, options: Options, plan: Plan) -> int:
    """Owns the database and runs every stage; where another process runs the campaign already, watches that one.

    Returns:
        The exit code: 0 at the end of the last stage, or where `sweep stop` ended it and a trial is complete; 1 where
        none is, or something kept it from going on; 130 if interrupted.

    Raises:
        UserError, ResultsError: what stands in the way, in one line.
    """
    with owning(plan.storage, plan.work_dir) as store:
        if store is not None:
            here = Here(plan, store, Interrupts())
            return conduct(campaign, options, here, plan.scale, plan.data, plan.command)
    return _watch(campaign, options, plan)


def start_there(
    campaign: Campaign, options: Options, source: Source, scale: Scale, data: DataPaths, command: str
) -> int:
    """Hands the stages to a team's server, each when the one before has ended; the exit code as for `start_here`.

    Raises:
        UserError: the server cannot be reached, or refuses a stage.
    """
    assert source.server
    with Remote(source.server, source.token(), patience=PATIENCE) as server:
        click.echo(f"campaign {campaign.name} goes to {server.shown}, stage by stage while this watches", err=True)
        return conduct(campaign, options, There(server, scale, data), scale, data, command)


def conduct(campaign: Campaign, options: Options, place: Place, scale: Scale, data: DataPaths, command: str) -> int:
    """Runs every stage that has not ended, in order, while something is left of the campaign's total.

    Returns:
        The exit code as for `start_here`; 0 also where the total is spent before the last stage.

    Raises:
        UserError, ResultsError: the file has changed since a stage began, or a stage has no complete trial.
    """
    course, end = Course(scale), None
    known = {one.name: one for one in place.reader.studies()}
    for number, stage in enumerate(campaign.stages, 1):
        space = _checked(campaign, stage, course, options, place.reader, data)
        left = left_of(campaign.total, [trial for one in course.founds for trial in one.trials])
        space = capped(space, left)
        record = known.get(space.study)
        head = f"stage {number} of {len(campaign.stages)}, {stage}"
        done = record is not None and _done(campaign, stage, place, known, space)
        if not done:
            _check_later(campaign, stage, known, space)
            if end := spent(campaign.total, left):
                end = f"campaign {campaign.name} ends before {head}: {end}; raise it and start again to go on"
                break
        if not done or _waits(place, space):
            _announce(head, space, campaign.total)
            outcome = place.run(space)
            if outcome.state != "finished":
                return _stopped(campaign, place, outcome, command)
        result = found(place.reader, space)
        if result is None:
            raise UserError(
                f"{head}: no trial is complete, so there is nothing to start the next stage from; "
                f"see why with: sweep rank --all --study {space.study}"
            )
        course.founds.append(result)
        click.echo(f"{head}: best {result.bests[0].mean:.10f}", err=True)
    stages = stages_of(place.reader, campaign.name)
    try:
        place.conclude(stages, [one.space for one in course.founds])
    finally:  # whatever keeps them from being scored
        print_stages(place.reader, stages, "table")
    if end:
        click.echo(end, err=True)
    return 0


def _checked(
    campaign: Campaign, stage: str, course: Course, options: Options, reader: Reader | Remote, data: DataPaths
) -> SearchSpace:
    """The space of a stage, which must be what the stage began with if it has begun."""
    space = stage_space(campaign, stage, course, options)
    try:
        check_identity(reader, space, course.scale, data, _RENAME)
    except UserError as error:
        before = " (or an earlier stage has another winner now)" if course.founds else ""
        raise UserError(f"campaign {campaign.name} has changed{before}: {error}") from error
    return space


def _done(
    campaign: Campaign, stage: str, place: Place, known: Mapping[str, StudyRecord], space: SearchSpace
) -> bool:  # fmt: skip
    """Whether a stage has ended with the budget that it has now.

    More of a total, because that was raised, lets it go on, but not once a later stage has begun: that is what the
    stage left.
    """
    record, total = known[space.study], campaign.total
    if not place.finished(record, space) or _limits(record.budget, total) != _limits(asdict(space.budget), total):
        return False
    had = {name: record.budget.get(name) for name in TOTAL if getattr(total, name) is not None}
    more = any(limit is not None and getattr(space.budget, name) > limit for name, limit in had.items())
    return not more or _later(campaign, stage, known) is not None


def _waits(place: Place, space: SearchSpace) -> bool:
    """Whether a stage that has ended has trials to train all the same: somebody tries one again, or confirms."""
    counts = place.reader.counts(space.study)
    return bool(counts["waiting"] or counts["running"])


def _limits(entries: Mapping[str, object], total: Budget) -> dict[str, object]:
    """The limits that are set, but those that follow what is left of a total."""
    return {key: value for key, value in entries.items() if value is not None and getattr(total, key, None) is None}


def _later(campaign: Campaign, stage: str, known: Mapping[str, StudyRecord]) -> str | None:
    """The first of the stages after it that has begun."""
    later = campaign.stages[campaign.stages.index(stage) + 1 :]
    return next((one for one in later if campaign.study(one) in known), None)


def _check_later(campaign: Campaign, stage: str, known: dict[str, StudyRecord], space: SearchSpace) -> None:
    """A stage that goes on may find another winner: the stages after it must not have begun."""
    begun = _later(campaign, stage, known)
    if begun is None:
        return
    if space.study not in known:
        raise UserError(f"campaign {campaign.name} has changed: stage {stage} is new before {begun}; {_RENAME}")
    there, here = (_limits(one, campaign.total) for one in (known[space.study].budget, asdict(space.budget)))
    why = f"budget {there} there, {here} here" if there != here else "it has not come to its end"
    raise UserError(
        f"campaign {campaign.name} has changed: stage {begun} began from the winner of {stage}, which would go on "
        f"({why}); {_RENAME}"
    )


def _announce(head: str, space: SearchSpace, total: Budget) -> None:
    for note in space.notes:
        click.echo(note, err=True)
    sampler, trials = planned(space)
    many = "until the budget is spent" if trials is None else f"{trials} trial{'s' * (trials != 1)}"
    most = "".join(
        f", at most {getattr(space.budget, name):.3g} of total.{name} {getattr(total, name):g}"
        for name in TOTAL
        if getattr(total, name) is not None
    )
    click.echo(f"{head}: {many}, {sampler}, study {space.study}{most}", err=True)


def _stopped(campaign: Campaign, place: Place, outcome: Outcome, command: str) -> int:
    so_far = stages_of(place.reader, campaign.name)
    if so_far.winner:
        print_stages(place.reader, so_far, "table")
    if outcome.fault and not outcome.interrupted:
        click.echo(f"sweep: {outcome.fault}", err=True)
    click.echo(f"campaign {campaign.name} is not finished; go on with: {command}", err=True)
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if so_far.winner and not outcome.fault else 1


def _watch(campaign: Campaign, options: Options, plan: Plan) -> int:
    """Follows the run of another process through its stages; Ctrl-C ends the watching only."""
    begun = owner(plan.storage, [campaign.study(stage) for stage in campaign.stages])
    click.echo(f"campaign {campaign.name} runs already (process {begun.pid}); watching it", err=True)
    with Store.open(plan.storage, readonly=True) as store:
        _check_begun(campaign, options, store, plan)
        told = ""
        while run := runfile.read(plan.storage):
            if run.url != told:
                click.echo(f"study {run.study}", err=True)
                told = run.url
                follow(plan.storage, run)
            time.sleep(_LOOK_SECONDS)
        so_far = stages_of(store, campaign.name)
        if so_far.winner:
            print_stages(store, so_far, "table")
        return 0 if _ended(campaign, so_far, store) else 1


def _ended(campaign: Campaign, so_far: Stages, store: Store) -> bool:
    """Whether a campaign that nobody runs any more has come to its end."""
    last = so_far.stages[-1] if so_far.stages else None
    if last is None or last.record.state != "finished":
        return False
    left = left_of(campaign.total, [trial for one in so_far.stages for trial in one.trials])
    return last.name == campaign.stages[-1] or spent(campaign.total, left) is not None


def _check_begun(campaign: Campaign, options: Options, store: Store, plan: Plan) -> None:
    """Every stage that has begun must be what this file says."""
    course = Course(plan.scale)
    for stage in campaign.stages:
        if store.study(campaign.study(stage)) is None:
            return
        result = found(store, _checked(campaign, stage, course, options, store, plan.data))
        if result is None:
            return
        course.founds.append(result)
