"""What people ask and order: studies, trials, workers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response

from results.records import AttemptRecord, EpochRecord, ImportRecord, StudyRecord, TrialRecord
from runner.errors import UserError
from runner.protocol import Verdict
from sweeps.artifacts import Artifacts
from sweeps.artifacts.logs import read
from sweeps.imports.imports import Imported, ImportedTable, taken
from sweeps.leases.coordinator import RefusedError
from sweeps.server.confirmation import Asked, HeldScore
from sweeps.server.registry import Registry
from sweeps.server.routes.answers import LARGEST_FILE, Study, Trial, plain_file
from sweeps.server.submission import Submission
from sweeps.server.team import Team
from sweeps.study.evidence import check_evidence


def router(registry: Registry, team: Team | None, artifacts: Artifacts | None) -> APIRouter:
    """The routes of people."""
    routes = APIRouter(tags=["people"])

    @routes.get("/studies")
    def studies() -> list[StudyRecord]:
        """All studies, the one started last at the end."""
        return [study.record() for study in registry.studies()]

    @routes.post("/studies")
    def submit(submission: Submission) -> StudyRecord:
        """Takes a study in; one that is here already goes on with the new budget."""
        if team is None:
            raise UserError("this server runs one study, its own; a team's is started with: sweep serve")
        return team.submit(submission)

    @routes.get("/studies/{study}/trials/{trial}/attempts")
    def attempts(study: Study, trial: Trial) -> list[AttemptRecord]:
        """Who had a trial, from when to when, and how each attempt ended."""
        return registry.study(study).study.store.attempts(study, trial)

    @routes.get("/studies/{study}/status")
    def status(study: Study) -> dict[str, Any]:
        """How a study stands."""
        return registry.study(study).status()

    @routes.get("/studies/{study}/scores")
    def scores(study: Study) -> dict[int, dict[int, float]]:
        """The score of every epoch of every trial."""
        return registry.study(study).study.store.scores(study)

    @routes.get("/studies/{study}/trials")
    def trials(study: Study) -> list[TrialRecord]:
        """All trials of a study."""
        return registry.study(study).study.store.trials(study)

    @routes.get("/studies/{study}/trials/{trial}")
    def trial(study: Study, trial: Trial) -> TrialRecord:
        """One trial of a study."""
        found = registry.study(study).study.store.trial(study, trial)
        if found is None:
            raise HTTPException(404, f"study {study} has no trial {trial}")
        return found

    @routes.get("/studies/{study}/imports")
    def imports(study: Study) -> list[ImportRecord]:
        """Results from elsewhere that stand beside the study's own."""
        return registry.study(study).study.store.imports(study)

    @routes.post("/studies/{study}/imports")
    def bring_in(study: Study, table: ImportedTable) -> Imported:
        """Takes the rows of a table beside the study's own; its sampler learns from those that fit."""
        owner = registry.study(study)
        return taken(table, owner.record(), owner.study.space, owner.take_imports)

    @routes.get("/studies/{study}/trials/{trial}/epochs")
    def epochs(study: Study, trial: Trial) -> list[EpochRecord]:
        """Every validation of a trial."""
        return registry.study(study).study.store.epochs(study, trial)

    @routes.get(
        "/studies/{study}/trials/{trial}/config", response_class=Response, responses=plain_file("text/x-python")
    )
    def config(study: Study, trial: Trial) -> Response:
        """Text of the rendered config; 404 until the trial has finished with one."""
        text = registry.study(study).study.store.config(study, trial)
        if text is None:
            raise HTTPException(404, f"trial {trial} has no config yet")
        return Response(text, media_type="text/x-python")

    @routes.get(
        "/studies/{study}/trials/{trial}/evidence",
        response_class=Response,
        responses=plain_file("application/octet-stream"),
    )
    def evidence(study: Study, trial: Trial) -> Response:
        """What each validation image contributed to the trial's score; 404 where nothing was kept."""
        found = registry.study(study).study.store.evidence(study, [trial])
        if trial not in found:
            raise HTTPException(404, f"trial {trial} has kept nothing of its images")
        return Response(found[trial], media_type="application/octet-stream")

    @routes.get("/studies/{study}/trials/{trial}/log", response_class=Response, responses=plain_file("text/plain"))
    def log(study: Study, trial: Trial, offset: Annotated[int, Query(ge=0, le=LARGEST_FILE)] = 0) -> Response:
        """The trial's log from a byte on, 1 MiB at most; empty at its end, or where there is none yet."""
        found = read(registry.study(study).record(), trial, offset, artifacts)
        return Response(found, media_type="text/plain; charset=utf-8")

    @routes.post("/studies/{study}/confirmation")
    def confirm(study: Study, asked: Asked) -> StudyRecord:
        """Further seeds of the best, the same ones where it was asked before; nothing else begins until they ended."""
        owner = registry.study(study)
        owner.confirm(asked.top, asked.seeds, asked.only)
        return owner.record()

    @routes.get("/studies/{study}/holdout")
    def holdout(study: Study) -> dict[int, HeldScore]:
        """What was scored on the images held out, by trial."""
        held = registry.study(study).study.store.holdout(study)
        return {trial: HeldScore.of(one) for trial, one in held.items()}

    @routes.post("/studies/{study}/trials/{trial}/holdout")
    def add_holdout(study: Study, trial: Trial, score: HeldScore) -> Verdict:
        """Keeps what a complete trial scores on the images held out; the first one counts."""
        if score.evidence is not None:
            check_evidence(score.evidence)
        registry.study(study).keep_holdout(trial, score.record())
        return Verdict()

    @routes.post("/studies/{study}/trials/{trial}/retry")
    def retry(study: Study, trial: Trial) -> Verdict:
        """A trial that has ended without a score waits again."""
        registry.study(study).retry(trial)
        return Verdict()

    @routes.post("/studies/{study}/trials/{trial}/cancel")
    def cancel(study: Study, trial: Trial) -> Verdict:
        """A trial that waits or trains ends; its worker is told at its next word."""
        registry.study(study).cancel(trial)
        return Verdict()

    @routes.post("/studies/{study}/pause")
    def pause(study: Study) -> Verdict:
        """Nothing new begins; of a study that is finished nothing would, and it stays as it is."""
        owner = registry.study(study)
        if owner.finished():
            raise RefusedError(f"study {study} is finished ({owner.status()['reason']}): there is nothing to pause")
        owner.pause()
        return Verdict()

    @routes.post("/studies/{study}/resume")
    def resume(study: Study) -> Verdict:
        """Trials begin again."""
        registry.study(study).resume()
        return Verdict()

    @routes.get("/workers")
    def workers() -> list[dict[str, Any]]:
        """Who works here."""
        return registry.workers()

    @routes.post("/stop")
    def stop() -> Verdict:
        """Ends the server politely: no more leases."""
        registry.stop()
        return Verdict()

    return routes
