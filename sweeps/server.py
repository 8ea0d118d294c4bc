"""The study server: HTTP over the coordinator. Loopback and a token; every body is checked."""

from __future__ import annotations

import hmac
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from results.errors import ResultsError
from runner.protocol import Finish, LeaseReply, LeaseRequest, Renewal, Verdict
from sweeps.coordinator import Coordinator, RefusedError


def create_app(coordinator: Coordinator, token: str) -> FastAPI:
    """The server's routes.

    Args:
        coordinator: answers them.
        token: every request must bear it (``Authorization: Bearer TOKEN``).
    """

    # no page may be read without the token, the schema neither
    app = FastAPI(title="sweep study server", openapi_url=None)

    @app.middleware("http")
    async def check_token(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        """Before the body is read: without the token nothing is looked at."""
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return JSONResponse({"detail": "a valid token is needed"}, status_code=401)
        return await answer(request)

    @app.exception_handler(RefusedError)
    async def refused(_: object, error: RefusedError) -> Response:
        return JSONResponse({"detail": str(error)}, status_code=409)

    @app.exception_handler(ResultsError)
    async def not_stored(_: object, error: ResultsError) -> Response:
        """A full disk, say: the worker stops, and `sweep start` ends with this line."""
        coordinator.fault = str(error)
        return JSONResponse({"detail": str(error)}, status_code=503)

    @app.post("/lease")
    def lease(request: LeaseRequest) -> LeaseReply:
        return coordinator.lease(request)

    @app.post("/trials/{trial}/heartbeat")
    def heartbeat(trial: int, renewal: Renewal) -> Verdict:
        coordinator.heartbeat(trial, renewal.fence)
        return Verdict()

    @app.post("/trials/{trial}/report")
    def report(trial: int, renewal: Renewal) -> Verdict:
        if renewal.report is None:
            raise HTTPException(422, "a report is needed")
        return coordinator.report(trial, renewal.fence, renewal.report)

    @app.post("/trials/{trial}/finish")
    def finish(trial: int, end: Finish) -> Verdict:
        coordinator.finish(trial, end.fence, end.result)
        return Verdict()

    @app.post("/trials/{trial}/hand_back")
    def hand_back(trial: int, renewal: Renewal) -> Verdict:
        coordinator.hand_back(trial, renewal.fence, renewal.reason or "no reason given", renewal.cause)
        return Verdict()

    @app.get("/status")
    def status() -> dict[str, Any]:
        return coordinator.status()

    @app.post("/stop")
    def stop() -> Verdict:
        coordinator.stop()
        return Verdict()

    return app


class Server:
    """Serves an app from a thread of this process, on a free port of the loopback address.

    Use as a context manager; ``url`` is valid inside.
    """

    def __init__(self, app: FastAPI) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        # signals are the command's business; uvicorn's own handlers only work in the main thread anyway
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="study-server", daemon=True
        )

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()
