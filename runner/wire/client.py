"""HTTP to the study server: one method a message, retries while the server restarts."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import tenacity
from pydantic import ValidationError

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

_Kind = TypeVar("_Kind", bound=Message)
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_PATIENCE = 20.0  # seconds; a worker says how much of its lease is left
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
_REFUSAL_BYTES = 2**16
_CA = "SWEEP_CA"  # a PEM file of certificates to trust, for servers that sign their own


class LeaseLostError(Exception):
    """The server gave the trial to somebody else, has finished it, or has it no more."""


class ServerTroubleError(httpx.TransportError):
    """The server answers, but can't serve us just now (its database or disk does not, say); worth asking again."""


class Client:
    """Talks to one study server.

    Args:
        url: e.g. ``http://127.0.0.1:40123``.
        token: sent as a bearer token with every request.
        certificate: PEM file of the one certificate to trust, whatever name it is made out to; None for those of
            SWEEP_CA, else the system's, for the name in the URL.

    Attributes:
        shown: the URL for people.

    Raises:
        UserError: the certificates that SWEEP_CA names cannot be read, or the URL is none.
    """

    def __init__(self, url: str, token: str, certificate: str | None = None) -> None:
        self.shown = shown(url)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            self.http = httpx.Client(
                base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False, verify=_trusted(certificate)
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise UserError(f"{self.shown} is no address of a study server: {error}") from error
        if self.http.base_url.scheme not in ("http", "https") or not self.http.base_url.host:
            raise UserError(f"{self.shown} is no address of a study server; write one such as https://server:8600")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.http.close()

    def lease(self, request: LeaseRequest) -> LeaseReply:
        """Asks for a trial. Tried once: the server may have granted one although its answer got lost."""
        return _understood(LeaseReply, self._send("/lease", request, leased=False))

    def heartbeat(self, lease: Lease) -> Verdict:
        """Renews a lease. Tried once: the caller keeps the time."""
        return _understood(Verdict, self._send(f"{_of(lease)}/heartbeat", Renewal(fence=lease.fence)))

    def report(self, lease: Lease, report: EpochReport, patience: float = _PATIENCE) -> Verdict:
        """Reports one validation; repeating it changes nothing. `patience`: seconds to wait for the server."""
        return _understood(
            Verdict, self._insist(f"{_of(lease)}/report", Renewal(fence=lease.fence, report=report), patience)
        )

    def finish(self, lease: Lease, result: Result, patience: float = _PATIENCE) -> None:
        """Ends the trial; repeating it changes nothing."""
        self._insist(f"{_of(lease)}/finish", Finish(fence=lease.fence, result=result), patience)

    def hand_back(self, lease: Lease, reason: str, cause: Failure, patience: float = _PATIENCE) -> None:
        """Gives the trial back unfinished; it goes on from its last checkpoint under the next lease."""
        self._insist(f"{_of(lease)}/hand_back", Renewal(fence=lease.fence, reason=reason, cause=cause), patience)

    def fetch(self, path: str, most: int) -> bytes:
        """What stands under a path, whole.

        Raises:
            UserError: it has more than `most` bytes, or the server refuses it.
        """
        return checked(received(self.http, path, most)).content

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

    def _send(self, path: str, message: Message, leased: bool = True) -> bytes:
        try:
            response = self.http.post(path, content=message.model_dump_json().encode())
        except httpx.ConnectError as error:
            if line := no_tls(error):  # asking again would not help
                raise UserError(f"the study server {self.shown} cannot be talked to: {line}") from error
            raise
        return checked(response, leased).content


def shown(url: str) -> str:
    """A server's URL for people: without a user's name and password."""
    return re.sub(r"//[^/?#]*@", "//", url)


def checked(answer: httpx.Response, leased: bool = False) -> httpx.Response:
    """The answer, if it is one to go on with.

    Args:
        answer: of a study server, or of what stands before it.
        leased: whether it is about a trial that we hold: no such study or trial is a lost lease then.

    Raises:
        LeaseLostError: somebody else has the trial, or it has ended, or the server has it no more.
        ServerTroubleError: the server can't serve it just now.
        UserError: it never will.
    """
    if not answer.is_error:
        return answer
    code, line = answer.status_code, str(refusal(answer)["detail"])
    if code == httpx.codes.CONFLICT or (leased and code == httpx.codes.NOT_FOUND):
        raise LeaseLostError(line)
    if code == httpx.codes.UNAUTHORIZED:
        raise UserError("the study server refuses this token (SWEEP_TOKEN)")
    if in_trouble(answer):
        raise ServerTroubleError(f"the study server answers {code}: {line}")
    raise UserError(f"the study server answers {code} to {answer.request.url.path}: {line}")


def received(http: httpx.Client, path: str, most: int, **options: Any) -> httpx.Response:
    """The answer to a GET, read as it comes: whoever sends without end does not fill our memory.

    Args:
        http: the connection.
        path: what is asked for.
        most: bytes that the answer may have; a refusal may always have `_REFUSAL_BYTES`.
        options: of the request (``params``, ``headers``).

    Raises:
        UserError: the answer has more.
    """
    headers = {**options.pop("headers", {}), "Accept-Encoding": "identity"}  # packed, a few bytes may be very many
    with http.stream("GET", path, headers=headers, **options) as answer:
        content, limit = bytearray(), max(most, _REFUSAL_BYTES) if answer.is_error else most
        for block in answer.iter_raw():
            content += block
            if len(content) > limit:
                raise UserError(f"what answers at {path} sends more than the {limit:,} bytes that were asked for")
    answer.headers.pop("Content-Encoding", None)
    return httpx.Response(answer.status_code, headers=answer.headers, content=bytes(content), request=answer.request)


def in_trouble(answer: httpx.Response) -> bool:
    """Whether a server, or what stands before it, can't serve us just now, but may later."""
    return answer.is_server_error or answer.status_code in (
        httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS,
    )  # fmt: skip


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """What a refused request was answered with: `detail`, and what else the server says."""
    document: Any = None
    with contextlib.suppress(ValueError):
        document = answer.json()
    return {"detail": answer.text[:200]} | (document if isinstance(document, dict) else {})


def _understood(kind: type[_Kind], answer: bytes) -> _Kind:
    try:
        return kind.model_validate_json(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        what = ".".join(str(key) for key in first["loc"])[:200]
        raise UserError(f"the study server says what is not understood here: {what}: {first['msg']}") from error


def tls_line(error: OSError) -> str:
    """What is wrong with a certificate or a key, for people."""
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error.strerror or error).replace("_", " ").lower()
    return (error.strerror or str(error)).lower()


def no_tls(error: BaseException | None) -> str | None:
    """Why no trusted connection comes about, in one line; None where something else is wrong."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted here: {error.verify_message}; {_CA} names a PEM file to trust"
        if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
            return "what listens there speaks no TLS; write http:// instead of https://"
        error = error.__cause__ or error.__context__
    return None


def _of(lease: Lease) -> str:
    return f"/studies/{lease.study}/trials/{lease.trial}"


def _trusted(certificate: str | None) -> ssl.SSLContext | bool:
    """The one certificate, else those of SWEEP_CA, else those of the system."""
    path = certificate or os.environ.get(_CA)
    if not path:
        return True
    try:
        context = ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        named = "" if certificate else f" that {_CA} names"
        raise UserError(f"no certificates can be read from {path}{named}: {tls_line(error)}") from error
    if certificate:
        context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a server's own certificate will do, without its issuer's
    return context
