"""Taking files in: in pieces, from several senders at once, each counting only when it is whole."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from results.artifacts import ArtifactIndex, ArtifactRecord
from results.database.outage import AwayError, waiting_at_most
from runner.wire.transfer import LARGEST_LABELS, NAMES, Standing, largest
from sweeps.artifacts.backends import Backend
from sweeps.artifacts.errors import (
    TooLargeError,
    UnknownArtifactError,
    WrongContentError,
    WrongOffsetError,
    disk_error,
)
from sweeps.artifacts.keep import shown
from sweeps.artifacts.quota import Limits, Quota
from sweeps.artifacts.spool import Partial, Place, Spool

_ANSWER_SECONDS = 0.5  # a file is checked and handed over in the background; a request waits so long for it
_IDLE_SECONDS = 120.0  # room is held so long for a sender that sends nothing
Still = Callable[[], object]  # raises when the sender may not go on


class Intake:
    """The half of `sweeps.artifacts.store.Artifacts` that takes files in; see there for arguments."""

    def __init__(
        self,
        index: ArtifactIndex,
        backend: Backend,
        spool: Path,
        limits: Limits | None = None,
        kept: Callable[[ArtifactRecord, ArtifactRecord | None], None] = lambda new, old: None,
    ) -> None:
        self.index, self.backend, self._kept = index, backend, kept
        self.limits = limits or Limits()
        self._quota = Quota(index, backend, self.limits)
        self._spool = Spool(spool)
        self._lock = threading.RLock()  # of the two below
        self._partials: dict[Place, Partial] = {}
        self._writing: set[str] = set()
        self._commit = threading.Lock()
        self._pool = ThreadPoolExecutor(4, "artifacts")
        self._spool.sweep(set())
        self._quota.remove_loose(())

    def begin(self, place: Place, size: int, sha256: str, still: Still = lambda: None) -> Standing:
        """Announces a file, or asks how far it got.

        Args:
            place: what it is.
            size: bytes.
            sha256: of the whole content.
            still: raises when the sender may not go on; asked again before the file counts.

        Raises:
            UnknownArtifactError, TooLargeError, NoRoomError, WrongContentError, BackendError, NotFoundError;
            what `still` raises.
        """
        check(place, size, sha256)
        still()
        self.index.require(place.study, place.trial)
        with self._lock:
            partial = self._partials.get(place)
            if partial is None or (partial.size, partial.sha256) != (size, sha256):
                self._forget(place)
                if self._is_there(place, size, sha256):
                    self._spool.drop(place)  # a crash may have left it
                    return Standing(offset=size, done=True)
                with waiting_at_most(_ANSWER_SECONDS):  # for the database: every other sender waits behind this one
                    partial = self._open(place, size, sha256)
        return self._standing(place, partial, still)

    def put(
        self, place: Place, size: int, sha256: str, offset: int, data: bytes, still: Still = lambda: None
    ) -> Standing:
        """Takes the next bytes of a file; one that another server was told of needs not be announced again.

        Args:
            place, size, sha256, still: as for `begin`.
            offset: where the bytes belong.
            data: the bytes.

        Raises:
            WrongOffsetError: they are not the next ones, or another content is on its way under that name.
            As for `begin`, else.
        """
        still()
        with self._lock:
            partial = self._partials.get(place)
        if partial is None:
            standing = self.begin(place, size, sha256, still)
            with self._lock:
                partial = self._partials.get(place)
            if standing.done or partial is None:
                return standing
        if (partial.size, partial.sha256) != (size, sha256):
            raise WrongOffsetError(0)
        partial.append(offset, data)
        return self._standing(place, partial, still)

    def _is_there(self, place: Place, size: int, sha256: str) -> bool:
        found = self.index.find(place.study, place.trial, place.name)
        return found is not None and (found.size, found.sha256) == (size, sha256)

    def _open(self, place: Place, size: int, sha256: str) -> Partial:
        partial = self._spool.open(place, size, sha256)
        self._quota.make(size - partial.offset, self._coming(), self._spool.folder)
        self._remove_loose()
        self._partials[place] = partial
        return partial

    def _coming(self) -> int:
        """Bytes of uploads under way, as announced, and of partial files that may still go on."""
        idle = time.monotonic() - _IDLE_SECONDS
        self._partials = {k: one for k, one in self._partials.items() if one.storing or one.touched > idle}
        under_way = self._partials.values()
        return sum(one.size for one in under_way) + self._spool.stray({one.path for one in under_way})

    def _forget(self, place: Place) -> None:
        """Gives up what is on its way under a name; what is being stored meanwhile is left to that."""
        partial = self._partials.pop(place, None)
        if partial is not None and partial.storing is None:
            partial.path.unlink(missing_ok=True)

    def _standing(self, place: Place, partial: Partial, still: Still) -> Standing:
        """How far it got; where all bytes are there, it is checked and handed over."""
        with self._lock:
            if partial.storing is None:
                if self._partials.get(place) is not partial:  # another sender replaced it, or it has just been stored
                    if self._is_there(place, partial.size, partial.sha256):
                        return Standing(offset=partial.size, done=True)
                    raise WrongOffsetError(0)
                if partial.offset < partial.size:
                    return Standing(offset=partial.offset)
                # for a sender that may not wait long for the database, that may not either
                run = contextvars.copy_context().run
                partial.storing = self._pool.submit(run, self._store, place, partial, still)
            storing: Future[None] = partial.storing
        wait([storing], _ANSWER_SECONDS)
        if not storing.done():
            return Standing(offset=partial.size)
        storing.result()
        return Standing(offset=partial.size, done=True)

    def _store(self, place: Place, partial: Partial, still: Still) -> None:
        """Checks a file and hands it over; runs in the background. After a failure it can be tried again."""
        try:
            self._hand_over(place, partial, still)
        finally:
            with self._lock:
                partial.storing = None
                partial.touched = time.monotonic()
                if not partial.path.exists() and self._partials.get(place) is partial:
                    del self._partials[place]

    def _hand_over(self, place: Place, partial: Partial, still: Still) -> None:
        artifact_id = str(uuid.uuid4())
        with self._lock:
            self._writing.add(artifact_id)
        try:
            self._check_content(place, partial)
            still()
            self.index.expect(artifact_id)
            self._take(partial.path, artifact_id)
            self._let_count(place, partial, artifact_id, still)
            partial.path.unlink(missing_ok=True)
        finally:
            with self._lock:
                self._writing.discard(artifact_id)
            self._remove_loose()

    def _check_content(self, place: Place, partial: Partial) -> None:
        try:
            whole = partial.whole()
        except FileNotFoundError:
            raise WrongOffsetError(0) from None
        except OSError as error:
            raise disk_error(error, "the server cannot read what was sent") from error
        if not whole:
            partial.path.unlink(missing_ok=True)
            raise WrongContentError(f"{place.name}: what arrived has another SHA-256 than was announced; send it again")

    def _take(self, file: Path, artifact_id: str) -> None:
        try:
            self.backend.take(file, artifact_id)
        except OSError as error:
            raise disk_error(error, f"cannot keep artifacts in {self.backend.where}") from error

    def _let_count(self, place: Place, partial: Partial, artifact_id: str, still: Still) -> None:
        with self._commit:  # who has lost the lease meanwhile comes never after its new holder
            still()
            old = self.index.find(place.study, place.trial, place.name)
            self.index.put(
                place.study, place.trial, place.name,
                size=partial.size, sha256=partial.sha256, artifact_id=artifact_id,
            )  # fmt: skip
            new = self.index.find(place.study, place.trial, place.name)
            if new is not None:
                self._kept(new, old)

    def _remove_loose(self) -> None:
        with self._lock:
            writing = set(self._writing)
        with contextlib.suppress(AwayError):  # the next time will do
            self._quota.remove_loose(writing)


def check(place: Place, size: int, sha256: str) -> None:
    """Checks name and size of what is announced.

    Raises:
        UnknownArtifactError: it has no name of the closed set.
        TooLargeError: what has that name may not be so large.
    """
    if place.trial is None:
        if place.name != sha256:
            raise UnknownArtifactError("a label file is named by the SHA-256 of its content")
        limit: int | None = LARGEST_LABELS
    else:
        limit = largest(place.name)
    if limit is None:
        raise UnknownArtifactError(f"no artifact is named {place.name[:80]!r}; there are {NAMES}")
    if size > limit:
        raise TooLargeError(f"{place.name} may have {shown(limit)}, not {shown(size)}")
