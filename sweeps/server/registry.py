"""All studies one server holds: which of them a worker's next trial comes from, and who the workers are."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from results.errors import ClaimedError
from runner.protocol import LeaseReply, LeaseRequest
from sweeps.leases.coordinator import Coordinator
from sweeps.server.turns import Turns

_GONE_SECONDS = 24 * 3600.0  # workers that were not seen for so long are forgotten


class UnknownError(Exception):
    """There is no study, or no trial, of that name; the message says what there is."""


@dataclass
class Seen:
    """A worker as the server knows it: its last request for a trial, and when it said anything last (UTC)."""

    request: LeaseRequest
    at: datetime


class Registry:
    """Studies by name, each with its coordinator. Any thread may call it.

    Args:
        stays: whether workers wait for studies to come (a team's server) or end when nothing is left.
        clock: seconds of the wall clock.

    Attributes:
        fault: what is wrong with the server's own disk or database, in one line; None if nothing is known.
    """

    def __init__(self, stays: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._stays, self._clock = stays, clock
        self._lock = threading.RLock()
        self._studies: dict[str, Coordinator] = {}
        self._workers: dict[str, Seen] = {}
        self._turns = Turns()
        self._stopping = False
        self.fault: str | None = None

    def add(self, coordinator: Coordinator) -> None:
        """Takes a study in; one of the same name is replaced."""
        with self._lock:
            self._studies[coordinator.name] = coordinator

    def study(self, name: str) -> Coordinator:
        """The study of that name.

        Raises:
            UnknownError: there is none.
        """
        with self._lock:
            if name not in self._studies:
                there = f"there are: {', '.join(self._studies)}" if self._studies else "there is none yet"
                raise UnknownError(f"no study {name} on this server; {there}")
            return self._studies[name]

    def studies(self) -> list[Coordinator]:
        """All studies, the oldest first."""
        with self._lock:
            return list(self._studies.values())

    def lease(self, request: LeaseRequest) -> LeaseReply:
        """A trial for a worker with a free slot, from the study with the fewest running trials that it can train."""
        with self._turns.turn(request) as matters:
            return self._lease(request) if matters else LeaseReply(wait=True)

    def _lease(self, request: LeaseRequest) -> LeaseReply:
        self.seen(request.worker, request)
        for study in self.studies():  # what it held, it has lost: it would not ask otherwise
            with self._others_go_on():
                study.left(request.worker)
        if self._stopping:
            return LeaseReply()
        wait = False
        for study in self._open_to(request):
            if request.ready.get(study.name) != study.needs.proof() and study.may_lease():
                return LeaseReply(needs=study.needs)
            with self._others_go_on():
                reply = study.lease(request)
                if reply.lease:
                    return reply
                wait = wait or reply.wait
        return LeaseReply(wait=self._stays or wait)

    def _open_to(self, request: LeaseRequest) -> list[Coordinator]:
        found = [study for study in self.studies() if request.study in (None, study.name)]
        able = [study for study in found if study.name not in request.unable]
        return sorted(able, key=lambda study: len(study.progress))

    def seen(self, worker: str, request: LeaseRequest | None = None) -> None:
        """Notes that a worker has just spoken."""
        with self._lock:
            now = datetime.fromtimestamp(self._clock(), UTC)
            if request is not None:
                self._workers[worker] = Seen(request, now)
            elif worker in self._workers:
                self._workers[worker].at = now
            gone = [name for name, one in self._workers.items() if (now - one.at).total_seconds() > _GONE_SECONDS]
            for name in gone:
                del self._workers[name]
                self._turns.forget(name)

    def heard(self, study: str, trial: int) -> None:
        """Notes that the holder of a trial has just spoken.

        Raises:
            UnknownError: there is no such study.
        """
        if running := self.study(study).progress.get(trial):
            self.seen(running.worker)

    def workers(self) -> list[dict[str, Any]]:
        """Who works here, for ``sweep workers``: name, owner, host, device, last seen, study and trial."""
        held = {one.worker: (study.name, one.trial) for study in self.studies() for one in study.running()}
        with self._lock:
            return [
                {
                    "worker": name,
                    "owner": one.request.owner,
                    "host": one.request.host,
                    "device": one.request.device,
                    "last_seen": one.at.isoformat(timespec="seconds"),
                    "seconds_ago": round(max(0.0, self._clock() - one.at.timestamp()), 1),
                    "study": held[name][0] if name in held else None,
                    "trial": held[name][1] if name in held else None,
                    "unable": dict(one.request.unable),
                }
                for name, one in sorted(self._workers.items())
            ]

    def tick(self) -> None:
        """Takes back leases that were not renewed; to be called about once a second."""
        for study in self.studies():
            with self._others_go_on():
                study.tick()

    @contextlib.contextmanager
    def _others_go_on(self) -> Iterator[None]:
        """Another server may have taken a study over: that is kept for whoever runs this one."""
        try:
            yield
        except ClaimedError as error:
            self.fault = str(error)

    def stop(self) -> None:
        """No more leases; running trials may still report."""
        self._stopping = True
        for study in self.studies():
            study.stop()

    @property
    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stopping
