"""The study server: HTTP over the registry. Nothing is answered without the token, save that the server is alive."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline

from results.database.outage import AwayError
from results.errors import NotFoundError, ResultsError
from results.text import clean_lines
from runner.errors import UserError
from runner.wire.client import tls_line
from sweeps.artifacts import Artifacts
from sweeps.leases.coordinator import RefusedError
from sweeps.server.deadline import PunctualProtocol
from sweeps.server.guard import App, Guard
from sweeps.server.listening import listening
from sweeps.server.registry import Registry, UnknownError
from sweeps.server.routes import artifacts as files
from sweeps.server.routes import studies, work
from sweeps.server.routes.answers import BEARER, RESPONSES, misfit
from sweeps.server.team import Team

_STATUS: dict[type[Exception], int] = {
    UnknownError: 404,
    NotFoundError: 404,
    RefusedError: 409,
    UserError: 400,
    ResultsError: 503,
}
_BACKLOG = 512  # connections that wait while the server is busy
_HEAD_BYTES = 32 * 1024  # of a request's line and headers


def create_app(registry: Registry, token: str, team: Team | None = None, artifacts: Artifacts | None = None) -> FastAPI:
    """The server's routes, behind the token.

    Args:
        registry: answers them.
        token: every request must bear it (`sweeps.server.guard.Guard`).
        team: takes studies in; None where a study is run by the process itself.
        artifacts: takes files of workers that do not share this machine's disk; None where all do.
    """
    # /docs comes from files of this machine
    app = FastAPIOffline(title="sweep study server", redoc_url=None, redirect_slashes=False)
    app.add_middleware(Guard, token=token)
    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, _told(registry, status))
    app.add_exception_handler(RequestValidationError, _misfit)
    routers = [work.router(registry), studies.router(registry, team, artifacts)]
    if artifacts:
        routers.append(files.router(artifacts, lambda study, *lease: registry.study(study).heartbeat(*lease)))
    for router in routers:
        app.include_router(router, responses=RESPONSES, dependencies=[BEARER])

    @app.get("/health")
    def health() -> dict[str, str]:
        """Whether the server answers; needs no token and tells nothing else."""
        return {"status": "ok"}

    return app


def _told(registry: Registry, status: int) -> Callable[[Request, Exception], Response]:
    def answer(_: Request, error: Exception) -> Response:
        # a full disk, say: whoever runs the server must see it; that the database is away, the server's loop tells
        if status == 503 and not isinstance(error, AwayError):
            registry.fault = str(error)
        return JSONResponse({"detail": clean_lines(str(error))}, status_code=status)

    return answer


def _misfit(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": misfit(error)}, status_code=422)


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        host: loopback by default: nobody else on the network reaches it.
        port: 0 takes a free one.
        certificate, key: PEM files; with them the server speaks TLS only.
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None


class Server:
    """Serves an app from a thread of this process.

    Use as a context manager; ``url`` is valid inside.

    Args:
        app: what it serves.
        address: where; a free port of the loopback address by default.
        protocol: with how long a connection may take.

    Raises:
        UserError: the address is taken or not this machine's, or certificate and key cannot be used.
    """

    def __init__(
        self, app: App, address: Address = Address(), protocol: type[PunctualProtocol] = PunctualProtocol
    ) -> None:
        if address.certificate:
            _check_key(address)
        self._socket = _listen(address)
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.url = f"http{'s' if address.certificate else ''}://{host}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2, ws="none",
            server_header=False, backlog=_BACKLOG, ssl_certfile=address.certificate, ssl_keyfile=address.key,
            http=protocol, h11_max_incomplete_event_size=_HEAD_BYTES, timeout_keep_alive=10,
        )  # fmt: skip
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            self._socket.close()
            raise UserError(f"certificate {address.certificate}, key {address.key}: {tls_line(error)}") from error
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


def _check_key(address: Address) -> None:
    """Nobody may be there to type a password, which OpenSSL would wait for.

    Raises:
        UserError: the key has one.
    """

    def refuse() -> str:
        raise UserError(f"key {address.key}: it has a password; write it to a file without, readable by you alone")

    with contextlib.suppress(OSError):  # told where the server loads them
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(str(address.certificate), address.key, refuse)


def _listen(address: Address) -> socket.socket:
    with listening(address.host, address.port):
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
