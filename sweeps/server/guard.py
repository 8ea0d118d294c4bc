"""What stands before every route: the token, the size of a body, and the time it may take to arrive."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MAX_BODY = 9 * 2**20  # bytes: a piece of an artifact, with room
BODY_SECONDS = 60.0
_DRAINED, _DRAIN_SECONDS = 64 * 1024, 1.0

# Configs, logs and pictures come from anybody's worker: no browser is to guess that they are a page.
_SAFER = [(b"x-content-type-options", b"nosniff")]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _RefusedBodyError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail


class Guard:
    """ASGI middleware: without the token nothing is read; a body that is too large or too slow is refused.

    The token comes as ``Authorization: Bearer TOKEN``; for reading also as the password of HTTP Basic, so that a
    browser shows the API's page. Other methods take no Basic: a browser would send it along with a request that
    another site makes it send. Comparison takes equal time for any wrong token.

    Args:
        app: what stands behind it.
        token: the server's.
        max_body: bytes of a request's body.
        body_seconds: from the first to the last byte of a body.
        open_paths: paths that need no token (health checks; they tell nothing).

    Raises:
        ValueError: the token is empty, which would let everybody in.
    """

    def __init__(
        self,
        app: App,
        token: str,
        max_body: int = MAX_BODY,
        body_seconds: float = BODY_SECONDS,
        open_paths: frozenset[str] = frozenset({"/health"}),
    ) -> None:
        if not token:
            raise ValueError("a server without a token")
        self._app, self._token = app, token.encode()
        self._max_body, self._body_seconds, self._open = max_body, body_seconds, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            return
        if scope["path"] not in self._open and not self._allowed(scope):
            headers = [(b"www-authenticate", b'Basic realm="sweep: any name, the token as password"')]
            await _drain(receive)
            await _refuse(send, 401, "a valid token is needed", headers if scope["method"] == "GET" else [])
            return
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > self._max_body:
            await _drain(receive)
            await _refuse(send, 413, f"a body may have {self._max_body:,} bytes")
            return
        refused: list[_RefusedBodyError] = []
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if refused and not started:  # whatever became of it in there, this is why
                return
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), *_SAFER]
            await send(message)

        # what does not hear of it, or answers in its own way, is answered for below
        with contextlib.suppress(_RefusedBodyError):
            await self._app(scope, self._limited(receive, refused), watched)
        if refused and not started:
            await _refuse(send, refused[0].status, refused[0].detail)

    def _allowed(self, scope: Scope) -> bool:
        kind, _, given = _header(scope, b"authorization").partition(b" ")
        if kind == b"Basic" and scope["method"] in ("GET", "HEAD"):
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                given = b""
        elif kind != b"Bearer":
            given = b""
        return hmac.compare_digest(given, self._token)

    def _limited(self, receive: Receive, refused: list[_RefusedBodyError]) -> Receive:
        left, deadline = self._max_body, time.monotonic() + self._body_seconds
        whole = False

        async def limited() -> Message:
            nonlocal left, whole
            if whole:  # only the end of the connection can come now, whenever it does
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                refused.append(_RefusedBodyError(408, "the body took too long"))
                raise refused[0] from None
            left -= len(message.get("body", b""))
            if left < 0:
                refused.append(_RefusedBodyError(413, f"a body may have {self._max_body:,} bytes"))
                raise refused[0]
            whole = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        return limited


def _header(scope: Scope, name: bytes) -> bytes:
    return next((bytes(value) for key, value in scope["headers"] if key == name), b"")


async def _drain(receive: Receive) -> None:
    """Drops what a refused request still sends, if it is little: a connection that is closed with something unread is
    reset, and whoever sent it would never see why.
    """
    left = _DRAINED
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


async def _refuse(send: Send, status: int, detail: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = json.dumps({"detail": detail}).encode()
    lines = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # what is left of the body is not read: the connection ends here
    lines += [(b"connection", b"close"), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
