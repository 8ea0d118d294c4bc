"""What people ask and order: studies, trials, workers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response

from results.records import EpochRecord, StudyRecord, TrialRecord
from runner.paths import TrialPaths
from runner.protocol import Verdict
from sweeps.hall import Hall

_LOG_PIECE = 2**20  # bytes


def router(hall: Hall) -> APIRouter:
    """The routes of people."""
    routes = APIRouter(tags=["people"])

    @routes.get("/studies")
    def studies() -> list[StudyRecord]:
        """All studies, the one started last at the end."""
        return [study.record() for study in hall.studies()]

    @routes.get("/studies/{study}/status")
    def status(study: str) -> dict[str, Any]:
        """How a study stands."""
        return hall.study(study).status()

    @routes.get("/studies/{study}/trials")
    def trials(study: str) -> list[TrialRecord]:
        """All trials of a study."""
        return hall.study(study).study.store.trials(study)

    @routes.get("/studies/{study}/trials/{trial}/epochs")
    def epochs(study: str, trial: int) -> list[EpochRecord]:
        """Every validation of a trial."""
        return hall.study(study).study.store.epochs(study, trial)

    @routes.get("/studies/{study}/trials/{trial}/config")
    def config(study: str, trial: int) -> Response:
        """Text of the rendered config; 404 until the trial has finished with one."""
        text = hall.study(study).study.store.config(study, trial)
        if text is None:
            raise HTTPException(404, f"trial {trial} has no config yet")
        return Response(text, media_type="text/x-python")

    @routes.get("/studies/{study}/trials/{trial}/log")
    def log(study: str, trial: int, offset: Annotated[int, Query(ge=0)] = 0) -> Response:
        """The trial's log from a byte on, 1 MiB at most."""
        record = hall.study(study).record()
        path = Path(TrialPaths.of(record.work_dir, study, trial).log)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return Response(file.read(_LOG_PIECE), media_type="text/plain; charset=utf-8")
        except OSError:
            raise HTTPException(404, f"trial {trial} of study {study} has no log here yet") from None

    @routes.post("/studies/{study}/pause")
    def pause(study: str) -> Verdict:
        """Nothing new begins."""
        hall.study(study).pause()
        return Verdict()

    @routes.post("/studies/{study}/resume")
    def resume(study: str) -> Verdict:
        """Trials begin again."""
        hall.study(study).resume()
        return Verdict()

    @routes.get("/workers")
    def workers() -> list[dict[str, Any]]:
        """Who works here."""
        return hall.workers()

    @routes.post("/stop")
    def stop() -> Verdict:
        """Ends the server politely: no more leases."""
        hall.stop()
        return Verdict()

    return routes
