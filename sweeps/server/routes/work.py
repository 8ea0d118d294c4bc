"""What workers say: asking for a trial, renewing, reporting, ending."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

from runner.protocol import Finish, LeaseReply, LeaseRequest, Renewal, Verdict
from sweeps.server.registry import Registry
from sweeps.server.routes.answers import Study, Trial, plain_file


def router(registry: Registry) -> APIRouter:
    """The routes of workers."""
    routes = APIRouter(tags=["workers"])

    @routes.post("/lease")
    def lease(request: LeaseRequest) -> LeaseReply:
        """A trial for a worker with a free slot."""
        return registry.lease(request)

    @routes.post("/studies/{study}/trials/{trial}/heartbeat")
    def heartbeat(study: Study, trial: Trial, renewal: Renewal) -> Verdict:
        """The worker still trains."""
        verdict = registry.study(study).heartbeat(trial, renewal.fence)
        registry.heard(study, trial)
        return verdict

    @routes.post("/studies/{study}/trials/{trial}/report")
    def report(study: Study, trial: Trial, renewal: Renewal) -> Verdict:
        """The figures of one validation."""
        if renewal.report is None:
            raise HTTPException(422, "a report is needed")
        verdict = registry.study(study).report(trial, renewal.fence, renewal.report)
        registry.heard(study, trial)
        return verdict

    @routes.post("/studies/{study}/trials/{trial}/finish")
    def finish(study: Study, trial: Trial, end: Finish) -> Verdict:
        """The trial has ended."""
        registry.study(study).finish(trial, end.fence, end.result)
        return Verdict()

    @routes.post("/studies/{study}/trials/{trial}/hand_back")
    def hand_back(study: Study, trial: Trial, renewal: Renewal) -> Verdict:
        """The trial comes back unfinished."""
        registry.study(study).hand_back(trial, renewal.fence, renewal.reason or "no reason given", renewal.cause)
        return Verdict()

    @routes.get("/studies/{study}/plugins/{sha256}", response_class=Response, responses=plain_file("text/x-python"))
    def plugin(study: Study, sha256: str) -> Response:
        """The text of a file that the study brings along."""
        found = next((one for one in registry.study(study).needs.plugins if one.sha256 == sha256), None)
        if found is None:
            raise HTTPException(404, f"study {study} has no plugin of that hash")
        try:
            return Response(Path(found.path).read_bytes(), media_type="text/x-python")
        except OSError as error:
            raise HTTPException(404, f"the plugin {found.path} of study {study} is gone") from error

    return routes
