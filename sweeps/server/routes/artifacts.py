"""Files over HTTP: sent in pieces under a lease, read from any byte on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Annotated, Any, BinaryIO, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from results.artifacts import ArtifactRecord
from runner.wire.transfer import PIECE_BYTES, Begin, Held, Sha256, Standing
from sweeps.artifacts import ArtifactError, Artifacts, Place, UnknownArtifactError
from sweeps.artifacts.errors import TooLargeError
from sweeps.server.routes.answers import LARGEST, LARGEST_FILE, Study, Trial

_BLOCK = 2**20  # bytes that are held in memory for one request
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
_THREADS = 32  # of their own: a slow disk or bucket never keeps a heartbeat waiting

T = TypeVar("T")

Holds = Callable[[str, int, int], object]
Fence = Annotated[int, Query(ge=0, le=LARGEST)]
Named = Annotated[Sha256, Path()]
Bytes = Annotated[int, Query(ge=0, lt=LARGEST_FILE)]


class _Route(APIRoute):
    """A route that tells what is wrong with a file in its own status."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler around FastAPI's own."""
        handler = super().get_route_handler()

        async def telling(request: Request) -> Response:
            try:
                return await handler(request)
            except ArtifactError as error:
                return JSONResponse(error.document(), status_code=error.status)

        return telling


class _Files:
    """Artifacts, answered from threads of their own."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts, self._limiter = artifacts, CapacityLimiter(_THREADS)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Calls something that may take long."""
        return await to_thread.run_sync(partial(function, *args), limiter=self._limiter)


def router(artifacts: Artifacts, holds: Holds) -> APIRouter:
    """The routes of artifacts and of label files.

    Args:
        artifacts: answers them.
        holds: called with study, trial and fencing number of a lease; renews it, or raises the server's own error.
    """
    routes = APIRouter(tags=["artifacts"], route_class=_Route)
    files = _Files(artifacts)
    _of_trials(routes, files, holds)
    _of_data(routes, files)
    return routes


def _of_trials(routes: APIRouter, files: _Files, holds: Holds) -> None:
    path = "/studies/{study}/trials/{trial}/artifacts"

    @routes.get(path)
    def listing(study: Study, trial: Trial) -> list[Held]:
        """What a trial has here."""
        index = files.artifacts.index
        index.require(study, trial)
        return [Held(name=one.name, size=one.size, sha256=one.sha256) for one in index.of_trial(study, trial)]

    @routes.post(path + "/{name}")
    async def begin(study: Study, trial: Trial, name: str, file: Begin) -> Standing:
        """Announces a file, or asks how far it got."""
        if file.fence is None:
            raise HTTPException(422, "the fencing number of a lease is needed")
        still = partial(holds, study, trial, file.fence)
        place = Place(study, trial, name)
        return await files.run(files.artifacts.begin, place, file.size, file.sha256, still)

    @routes.put(path + "/{name}", openapi_extra=_BYTES)
    async def piece(
        request: Request, study: Study, trial: Trial, name: str, fence: Fence, sha256: Annotated[Sha256, Query()],
        size: Bytes, offset: Bytes,
    ) -> Standing:  # fmt: skip
        """The next bytes of a file, 8 MiB at most; what arrived of a request that was cut counts too."""
        still = partial(holds, study, trial, fence)
        await files.run(still)
        return await _take(request, files, Place(study, trial, name), size, sha256, offset, still)

    @routes.get(path + "/{name}", response_class=Response)
    async def content(
        study: Study, trial: Trial, name: str,
        range_: Annotated[str, Header(alias="Range")] = "",
        if_range: Annotated[str, Header(alias="If-Range")] = "",
        fence: Fence | None = None,
    ) -> Response:  # fmt: skip
        """A file, or what a Range of it asks for; the ETag is its SHA-256. With a fencing number a lease is renewed."""
        if fence is not None:
            await files.run(holds, study, trial, fence)
        return await _give(files, Place(study, trial, name), range_, if_range)


def _of_data(routes: APIRouter, files: _Files) -> None:
    path = "/studies/{study}/data/{sha256}"

    @routes.post(path)
    async def begin_labels(study: Study, sha256: Named, file: Begin) -> Standing:
        """Announces a label file, or asks how far it got."""
        return await files.run(files.artifacts.begin, Place(study, None, sha256), file.size, file.sha256)

    @routes.put(path, openapi_extra=_BYTES)
    async def piece_of_labels(request: Request, study: Study, sha256: Named, size: Bytes, offset: Bytes) -> Standing:
        """The next bytes of a label file."""
        return await _take(request, files, Place(study, None, sha256), size, sha256, offset, lambda: None)

    @routes.get(path, response_class=Response)
    async def labels(
        study: Study, sha256: Named,
        range_: Annotated[str, Header(alias="Range")] = "",
        if_range: Annotated[str, Header(alias="If-Range")] = "",
    ) -> Response:  # fmt: skip
        """A label file, or what a Range of it asks for."""
        return await _give(files, Place(study, None, sha256), range_, if_range)


_BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def _take(
    request: Request, files: _Files, place: Place, size: int, sha256: str, offset: int, still: Callable[[], object]
) -> Standing:
    """Adds a body to a file as it arrives: little of it is in memory, and a cut loses little."""
    taken, block, standing = 0, bytearray(), None
    with contextlib.suppress(ClientDisconnect):
        async for chunk in request.stream():
            block += chunk
            if taken + len(block) > PIECE_BYTES:
                raise TooLargeError(f"a piece may have {PIECE_BYTES:,} bytes")
            if len(block) >= _BLOCK:
                standing = await files.run(
                    files.artifacts.put, place, size, sha256, offset + taken, bytes(block), still
                )
                taken, block = taken + len(block), bytearray()
    if block or standing is None:
        standing = await files.run(files.artifacts.put, place, size, sha256, offset + taken, bytes(block), still)
    return standing


async def _give(files: _Files, place: Place, range_: str, if_range: str) -> Response:
    for attempt in (1, 2):
        found = await files.run(files.artifacts.find, place)
        wanted = _wanted(found, range_, if_range)
        headers = {"ETag": _etag(found), "Accept-Ranges": "bytes"}
        if wanted is None:
            headers["Content-Range"] = f"bytes */{found.size}"
            return JSONResponse({"detail": f"it has {found.size:,} bytes"}, status_code=416, headers=headers)
        start, stop = wanted
        try:
            reader = await files.run(files.artifacts.open, found, start)
        except UnknownArtifactError:  # replaced between two lines: then there is another one now
            if attempt == 2:
                raise
            continue
        break
    headers["Content-Length"] = str(stop - start)
    partial_ = bool(range_) and stop - start < found.size
    if partial_:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{found.size}"
    kind = "application/octet-stream"
    return StreamingResponse(_blocks(files, reader, stop - start), 206 if partial_ else 200, headers, kind)


def _etag(found: ArtifactRecord) -> str:
    return f'"{found.sha256}"'


def _wanted(found: ArtifactRecord, range_: str, if_range: str) -> tuple[int, int] | None:
    """From which byte to before which; all where no (usable) range is asked for; None if there are none such."""
    match = _RANGE.fullmatch(range_.strip())
    if not match or not found.size or (if_range and if_range != _etag(found)):
        return 0, found.size
    start, last = int(match[1]), int(match[2]) if match[2] else found.size - 1
    if last < start and match[2]:
        return 0, found.size  # no range at all, by RFC 9110
    return (start, min(last + 1, found.size)) if start < found.size else None


async def _blocks(files: _Files, reader: BinaryIO, size: int) -> AsyncIterator[bytes]:
    try:
        while size and (block := await files.run(reader.read, min(size, _BLOCK))):
            size -= len(block)
            yield block
    finally:
        reader.close()
