"""HTTP to the study server: one method a message, retries while the server restarts."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx
import tenacity

from runner.errors import UserError
from runner.protocol import (
    EpochReport,
    Failure,
    Finish,
    Lease,
    LeaseReply,
    LeaseRequest,
    Message,
    Renewal,
    Result,
    Verdict,
)

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_PATIENCE = 20.0  # seconds; a worker says how much of its lease is left


class LeaseLostError(Exception):
    """The server gave the trial to somebody else, or has finished it."""


class Client:
    """Talks to one study server.

    Args:
        url: e.g. ``http://127.0.0.1:40123``.
        token: sent as a bearer token with every request.
    """

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()

    def lease(self, request: LeaseRequest) -> LeaseReply:
        """Asks for a trial. Tried once: the server may have granted one although its answer got lost."""
        return LeaseReply.model_validate_json(self._send("/lease", request))

    def heartbeat(self, lease: Lease) -> None:
        """Renews a lease. Tried once: the caller keeps the time."""
        self._send(f"/trials/{lease.trial}/heartbeat", Renewal(fence=lease.fence))

    def report(self, lease: Lease, report: EpochReport, patience: float = _PATIENCE) -> Verdict:
        """Reports one validation; repeating it changes nothing. `patience`: seconds to wait for the server."""
        return Verdict.model_validate_json(
            self._insist(f"/trials/{lease.trial}/report", Renewal(fence=lease.fence, report=report), patience)
        )

    def finish(self, lease: Lease, result: Result, patience: float = _PATIENCE) -> None:
        """Ends the trial."""
        self._insist(f"/trials/{lease.trial}/finish", Finish(fence=lease.fence, result=result), patience)

    def hand_back(self, lease: Lease, reason: str, cause: Failure, patience: float = _PATIENCE) -> None:
        """Gives the trial back unfinished; it goes on from its last checkpoint under the next lease."""
        self._insist(
            f"/trials/{lease.trial}/hand_back",
            Renewal(fence=lease.fence, reason=reason, cause=cause),
            patience,
        )

    def status(self) -> dict[str, Any]:
        """The study's status document."""
        response = self._http.get("/status")
        response.raise_for_status()
        document: dict[str, Any] = response.json()
        return document

    def stop(self) -> None:
        """Asks the server to stop politely."""
        self._http.post("/stop").raise_for_status()

    def _insist(self, path: str, message: Message, patience: float) -> bytes:
        """Repeats while the server is away, for `patience` seconds at most."""
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(httpx.TransportError),
            wait=tenacity.wait_random_exponential(max=3),
            stop=tenacity.stop_before_delay(patience),
            reraise=True,
        ):
            with attempt:
                return self._send(path, message)
        raise AssertionError("tenacity either returns or raises")

    def _send(self, path: str, message: Message) -> bytes:
        response = self._http.post(path, content=message.model_dump_json().encode())
        if response.status_code == httpx.codes.CONFLICT:
            raise LeaseLostError(response.json()["detail"])
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise UserError("the study server refuses this token (SWEEP_TOKEN)")
        if response.is_error:
            raise UserError(f"the study server answers {response.status_code} to {path}: {response.text[:200]}")
        return response.content
