"""One conversation with the study server about a file: patience, pace, and the lease kept meanwhile."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from typing import BinaryIO

import httpx

from runner.errors import UserError
from runner.protocol import Lease, Renewal
from runner.wire.client import ServerTroubleError, checked, refusal
from runner.wire.transfer import PIECE_BYTES, trial_path

_PATIENCE = 20.0  # seconds without a word from the server, where no lease sets a limit
TROUBLE_SECONDS = 300.0  # while it answers, but its disk or its artifact store does not serve it
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0
_SMALLEST_PIECE, _FIRST_PIECE = 64 * 2**10, 2**20
_SLOW, _FAST = 2.0, 0.5  # seconds of a piece after which the next is smaller, under which it is larger
_STUMBLES = 20  # in a row
_BLOCK = 2**20


class TransferStoppedError(Exception):
    """Whoever began a transfer no longer wants it."""


class NoRoomError(UserError):
    """The server has no room for a file: its disk is full, or its disk budget is spent."""


class OffsetError(Exception):
    """The server is at another byte than we thought: ask it."""


class ContentError(Exception):
    """What arrived at the server had another hash, and was thrown away."""


class Line:
    """Says messages until they are answered; see `runner.wire.artifacts.Transfer` for the arguments.

    Attributes:
        http: the connection.
        lease: that every answered message renews; None for none.
        renewed: when that was last, seconds of `time.monotonic`.
        piece: bytes of the next piece, by how long the last ones took.
    """

    def __init__(self, http: httpx.Client, lease: Lease | None, renewed: float, alive: Callable[[], bool]) -> None:
        self.http, self.lease, self.renewed, self._alive = http, lease, renewed, alive
        self.piece, self._stumbles = _FIRST_PIECE, 0

    def once(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Says a message once.

        Raises:
            httpx.TransportError: no answer; `ServerTroubleError`, which is one: the server can't serve it just now.
            LeaseLostError, NoRoomError, UserError, OffsetError, ContentError: what the answer says.
            TransferStoppedError: it is no longer wanted.
        """
        self.check_alive()
        started = time.monotonic()
        answer = _checked(send())
        self.renewed = started
        return answer

    def insist(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Says a message until it is answered, and time is left. Raises as `once`."""
        wait, began = _FIRST_WAIT, time.monotonic()
        while True:
            try:
                return self.once(send)
            except ServerTroubleError:
                if time.monotonic() > began + TROUBLE_SECONDS:
                    raise
                self._keep_lease()
            except httpx.TransportError:
                if self._time_left() <= 0:
                    raise
            self.pause(wait * random.uniform(0.5, 1.5))
            wait = min(2 * wait, _LONGEST_WAIT)

    def in_time(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Says a message that carries a piece once, and sets the size of the next one. Raises as `once`."""
        started = time.monotonic()
        answer = self.once(send)
        self._stumbles = 0
        seconds = time.monotonic() - started
        if seconds > _SLOW:
            self.piece = max(_SMALLEST_PIECE, self.piece // 2)
        elif seconds < _FAST:
            self.piece = min(PIECE_BYTES, self.piece * 2)
        return answer

    def stumbled(self) -> bool:
        """After a piece that was lost: whether to try smaller ones."""
        self._stumbles += 1
        self.piece = max(_SMALLEST_PIECE, self.piece // 2)
        return self._stumbles <= _STUMBLES

    def hash(self, source: BinaryIO, size: int) -> str:
        """SHA-256 of the first `size` bytes of a file; the lease is kept when that takes long."""
        found = hashlib.sha256()
        source.seek(0)
        while size > 0 and (block := source.read(min(_BLOCK, size))):
            found.update(block)
            size -= len(block)
            self.check_alive()
            self._keep_lease()
        return found.hexdigest()

    def pause(self, seconds: float) -> None:
        """Waits."""
        self.check_alive()
        time.sleep(seconds)

    def check_alive(self) -> None:
        """Raises `TransferStoppedError` if the transfer is no longer wanted."""
        if not self._alive():
            raise TransferStoppedError

    def _keep_lease(self) -> None:
        """Sends a heartbeat if one is due. A server that does not answer it is the next message's business."""
        lease = self.lease
        if lease is None or time.monotonic() < self.renewed + lease.heartbeat_seconds:
            return
        path, content = f"{trial_path(lease.study, lease.trial)}/heartbeat", Renewal(fence=lease.fence)
        try:
            checked(self.once(lambda: self.http.post(path, content=content.model_dump_json().encode())), leased=True)
        except httpx.TransportError:
            if self._time_left() <= 0:
                raise

    def _time_left(self) -> float:
        """Seconds that are left to reach the server: what trains must end before the lease does."""
        lasts = _PATIENCE if self.lease is None else self.lease.patience
        return self.renewed + lasts - time.monotonic()


def _checked(answer: httpx.Response) -> httpx.Response:
    """The answer, if it is one to go on with; that there is nothing (from that byte on) is one."""
    code = answer.status_code
    if not answer.is_error or code in (httpx.codes.NOT_FOUND, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE):
        return answer
    document = refusal(answer)
    line = str(document["detail"])
    if "offset" in document:
        raise OffsetError(line)
    if "send" in document:
        raise ContentError(line)
    if code == httpx.codes.INSUFFICIENT_STORAGE:
        raise NoRoomError(f"the study server has no room: {line}")
    return checked(answer)
