"""Sending files to the study server and fetching them: in pieces, going on after cuts, checked by hash. No torch."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from runner.errors import UserError
from runner.protocol import Lease
from runner.wire.client import checked, received
from runner.wire.line import ContentError, Line, NoRoomError, OffsetError, TransferStoppedError
from runner.wire.transfer import (
    LARGEST_LABELS,
    NAMES,
    Begin,
    Held,
    Standing,
    artifact_path,
    label_path,
    largest,
)

__all__ = ["NoRoomError", "Transfer", "TransferStoppedError"]

_ATTEMPTS = 3  # at a content that arrives with the wrong hash
_BYTES = {"Content-Type": "application/octet-stream"}


class Transfer:
    """Sends and fetches files of one trial, or of a study's data, one at a time.

    Every answered message renews the lease. A server that does not answer is waited for until most of the lease is
    over, a lost connection is made again, and a file goes on where it stopped.

    Args:
        http: of a `runner.wire.client.Client`.
        lease: under which a trial's files are sent; None for reading and for label files.
        renewed: when the lease was last renewed, seconds of `time.monotonic`; just now by default.
        alive: asked between pieces; once it says no, `TransferStoppedError` is raised.
    """

    def __init__(
        self,
        http: httpx.Client,
        lease: Lease | None = None,
        renewed: float | None = None,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._line = Line(http, lease, time.monotonic() if renewed is None else renewed, alive)

    @property
    def renewed(self) -> float:
        """When the lease was last renewed."""
        return self._line.renewed

    def upload(self, name: str, file: Path) -> None:
        """Sends a file of the lease's trial; where the server has that content already, nothing travels.

        Args:
            name: one of `runner.wire.transfer.NAMES`.
            file: read through one descriptor, so that it may be replaced by another meanwhile, or be added to:
                what is sent is the file as it was at the start.

        Raises:
            LeaseLostError: somebody else has the trial now.
            httpx.TransportError: the server does not answer, and the lease is about to end.
            NoRoomError: the server has no room.
            UserError: it refuses the file or the token.
            OSError: the file can't be read.
            TransferStoppedError: `alive` says so.
        """
        lease = self._line.lease
        assert lease is not None, "files of a trial are sent under a lease"
        if largest(name) is None:
            raise UserError(f"no artifact is named {name!r}; there are {NAMES}")
        self._send_file(artifact_path(lease.study, lease.trial, name), file, lease.fence)

    def upload_labels(self, study: str, file: Path) -> str:
        """Sends a label file of a study's data; returns its SHA-256, which is its name. Raises as `upload`."""
        with file.open("rb") as source:
            sha256 = self._line.hash(source, os.fstat(source.fileno()).st_size)
        self._send_file(label_path(study, sha256), file, None)
        return sha256

    def names(self, study: str, trial: int) -> dict[str, Held]:
        """What the server has of a trial, by name; nothing if it knows no such trial. Raises as `download`."""
        answer = self._line.insist(lambda: self._line.http.get(artifact_path(study, trial)))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        return {one["name"]: Held.model_validate(one) for one in answer.json()}

    def download(self, study: str, trial: int, name: str, target: Path) -> bool:
        """Fetches a file of a trial; where the target has that content already, nothing travels.

        Args:
            study: the trial's study.
            trial: its number.
            name: one of `runner.wire.transfer.NAMES`.
            target: replaced once all is there and its hash is right; until then it is what it was.

        Returns:
            False if the server has no such file.

        Raises:
            LeaseLostError, httpx.TransportError, UserError, TransferStoppedError: as for `upload`; `UserError` as
                well where the file is larger than one of that name may be, or more comes than was asked for.
            OSError: the target can't be written.
        """
        return self._fetch_file(artifact_path(study, trial, name), target, largest(name) or 0)

    def download_labels(self, study: str, sha256: str, target: Path) -> bool:
        """Fetches a label file of a study's data; as `download`."""
        return self._fetch_file(label_path(study, sha256), target, LARGEST_LABELS)

    # sending

    def _send_file(self, path: str, file: Path, fence: int | None) -> None:
        with file.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            begin = Begin(size=size, sha256=self._line.hash(source, size), fence=fence)
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self._send(path, source, begin)
                    break
                except ContentError as error:
                    if attempt == _ATTEMPTS:
                        raise UserError(f"{file} does not reach the study server as it is: {error}") from error

    def _send(self, path: str, source: BinaryIO, begin: Begin) -> None:
        standing, wait = self._ask(path, begin), 0.05
        while not standing.done:
            if standing.offset == begin.size:  # it checks and stores
                self._line.pause(wait)
                wait = min(2 * wait, 2.0)
                standing = self._ask(path, begin)
                continue
            try:
                standing = self._send_piece(path, source, begin, standing.offset)
            except (httpx.TransportError, OffsetError):  # the piece was lost, or its answer: how far did it get?
                if not self._line.stumbled():
                    raise
                standing = self._ask(path, begin)

    def _ask(self, path: str, begin: Begin) -> Standing:
        content = begin.model_dump_json().encode()
        return _standing(self._line.insist(lambda: self._line.http.post(path, content=content)), begin)

    def _send_piece(self, path: str, source: BinaryIO, begin: Begin, offset: int) -> Standing:
        source.seek(offset)
        data = source.read(min(self._line.piece, begin.size - offset))
        if not data:
            raise UserError(f"{getattr(source, 'name', path)} became shorter while it was sent")
        query: dict[str, Any] = {**begin.model_dump(exclude_none=True), "offset": offset}
        put = partial(self._line.http.put, path, params=query, content=data, headers=_BYTES)
        return _standing(self._line.in_time(put), begin)

    # fetching

    def _fetch_file(self, path: str, target: Path, most: int) -> bool:
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            found = self._line.insist(partial(self._get, path, 0, 0))
            if found.status_code == httpx.codes.NOT_FOUND:
                return False
            sha256, size = _whole(found)
            if size > most:
                raise UserError(f"{target.name} has {size:,} bytes on the study server; it may have {most:,}")
            if self._is(target, sha256, size):
                return True
            arriving = target.with_name(f".{target.name}.{sha256[:16]}.part")
            for other in target.parent.glob(f".{target.name}.*.part"):
                if other != arriving:  # of a content that the server no longer has
                    other.unlink(missing_ok=True)
            self._fetch(path, arriving, sha256, size)
            if self._is(arriving, sha256, size):
                arriving.replace(target)
                return True
            arriving.unlink(missing_ok=True)
        raise UserError(f"{target.name} does not arrive from the study server as it is there; check the network")

    def _fetch(self, path: str, arriving: Path, sha256: str, size: int) -> None:
        """Adds to a file what it lacks; ends early if the server has another content now."""
        with arriving.open("ab") as file:
            while (offset := file.tell()) < size:
                last = min(offset + self._line.piece, size) - 1
                try:
                    answer = self._line.in_time(partial(self._get, path, offset, last))
                except httpx.TransportError:
                    if not self._line.stumbled():
                        raise
                    self._line.insist(partial(self._get, path, 0, 0))
                    continue
                if answer.status_code == httpx.codes.NOT_FOUND or _whole(answer) != (sha256, size):
                    return
                file.write(answer.content)
            file.flush()
            os.fsync(file.fileno())

    def _get(self, path: str, first: int, last: int) -> httpx.Response:
        lease = self._line.lease
        mine = lease is not None and path.startswith(f"{artifact_path(lease.study, lease.trial)}/")
        query = {"fence": lease.fence} if lease is not None and mine else {}
        wanted = {"Range": f"bytes={first}-{last}"}
        return received(self._line.http, path, last - first + 1, params=query, headers=wanted)

    def _is(self, file: Path, sha256: str, size: int) -> bool:
        """Whether a file is there and has that content."""
        try:
            with file.open("rb") as source:
                return os.fstat(source.fileno()).st_size == size and self._line.hash(source, size) == sha256
        except FileNotFoundError:
            return False


def _standing(answer: httpx.Response, begin: Begin) -> Standing:
    return Standing.model_validate_json(checked(answer, leased=begin.fence is not None).content)


def _whole(answer: httpx.Response) -> tuple[str, int]:
    """SHA-256 and size of the whole file that an answer is a part of."""
    sha256 = answer.headers.get("ETag", "").strip('"')
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):  # it names a file, for a while
        raise UserError(f"what answers at {answer.request.url.path} is no study server")
    if "Content-Range" in answer.headers:
        return sha256, int(answer.headers["Content-Range"].rpartition("/")[2])
    return sha256, len(answer.content)
