"""Connections that ask for nothing, or for something without end, are closed.

uvicorn waits for ever for the first byte of a request, and for the rest of a request that it has begun to read: its
only time-out is between two requests. An ASGI application hears of a request when its headers are complete, so it
cannot help there.
"""

from __future__ import annotations

import asyncio
import http

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0
REST_SECONDS = 75.0  # longer than the guard waits for a body that somebody reads
_TOO_SLOW = b"HTTP/1.1 408 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PunctualProtocol(H11Protocol):
    """HTTP by uvicorn with a deadline for a request's headers, from the connection's beginning or the last answer on.

    Attributes:
        header_seconds: until the headers are complete.
        rest_seconds: from then until the body has come, whether or not anybody reads it.
    """

    header_seconds = HEADER_SECONDS
    rest_seconds = REST_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _awaited: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's; time runs."""
        super().connection_made(transport)
        self._keep_time()

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; time runs on, or is over."""
        super().data_received(data)
        self._keep_time()

    def on_response_complete(self) -> None:
        """As uvicorn's; the next request has its own time."""
        self._awaited = None
        super().on_response_complete()
        self._keep_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's; nothing is awaited any more."""
        self._stop()
        super().connection_lost(exc)

    def _keep_time(self) -> None:
        awaited = self.conn.their_state
        if awaited is self._awaited:
            return
        self._stop()
        self._awaited = awaited
        if awaited is h11.IDLE:
            self._deadline = self.loop.call_later(self.header_seconds, self._too_slow)
        elif awaited is h11.SEND_BODY:
            self._deadline = self.loop.call_later(self.rest_seconds, self._too_slow)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if self.conn.our_state is h11.IDLE and not self.transport.is_closing():
            self.transport.write(_TOO_SLOW % http.HTTPStatus(408).phrase.encode())
            self.transport.close()
        else:
            self.transport.abort()
