"""The agent that owns one slot: lease -> train -> report -> finish, until the server has no more trials.

One thread. The trainer is its grandchild, forked by a fork server that has imported torch and mmdet already.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import os
import socket
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from runner.errors import DISK, UserError
from runner.lifeline import die_with_parent
from runner.machine import Machine
from runner.pool.gpus import Card, own_card
from runner.pool.telling import Sender, Told
from runner.protocol import Lease, LeaseReply, LeaseRequest, Needs
from runner.wire.client import Client, LeaseLostError
from runner.worker.attempt import Attempt, Ended, NodeFaultError
from runner.worker.breaker import FAILURES, Breaker
from runner.worker.child import TRAINER
from runner.worker.interrupts import Interrupts, Stopped
from runner.worker.memory import Memory
from runner.worker.readiness import Place, Readiness
from runner.worker.staging import Staging

log = logging.getLogger("sweep.worker")
_POLL_SECONDS = 1.0
NODE_FAULT = 3  # exit code: this machine can train nothing
LEFT = 4  # exit code: it has trained what it was to train, and there may be more


@dataclass(frozen=True)
class SlotSetup:
    """What belongs to a slot besides threads.

    Attributes:
        card: its GPU, None for a CPU or where NVML shows none.
        sharing: how many slots are on that GPU.
        trials: how many to train; None for as many as there are.
        sender: tells the pool.
        trainer: module whose ``main`` trains (see `runner.training.trainer.main`).
    """

    card: Card | None = None
    sharing: int = 1
    trials: int | None = None
    sender: Sender = field(default_factory=Sender)
    trainer: str = TRAINER


class Worker:
    """Leases and trains one trial at a time.

    Args:
        client: of the study server.
        name: of this slot, unique; a second lease under one name takes the first back.
        owner: who runs it, as in the table.
        device: for people, e.g. ``cpu`` or ``cuda:0``.
        machine: threads and loader workers of each training.
        place: where it finds data and keeps trials; by default where the server does.
        study: takes trials of this one only.
        setup: what else belongs to the slot.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        owner: str,
        device: str,
        machine: Machine,
        place: Place = Place(plugins=True),  # noqa: B008  frozen
        study: str | None = None,
        setup: SlotSetup = SlotSetup(),
    ) -> None:
        self.client, self.machine, self.setup = client, machine, setup
        self.interrupts = Interrupts()
        self.breaker = Breaker()
        self.readiness = Readiness(client, place)
        self.staging = Staging(client, place.shared)
        self.request = LeaseRequest(
            worker=name, owner=owner, device=device, host=socket.gethostname(), study=study, life=uuid.uuid4().hex
        )
        self._asked = 0
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["runner.worker.tied", setup.trainer])

    def run(self) -> int:
        """Works until the server says that nothing is left, or it has trained as many trials as it was to.

        Returns:
            The exit code: 0 if nothing is left, LEFT if there may be more.

        Raises:
            NodeFaultError: the disk is full or the like, and the trial has been handed back; or no data are here.
            Stopped: a signal came; the trial has been handed back.
            UserError: the server refuses the token.
        """
        self._warm_up()
        trained = 0
        while not self.interrupts.leaving and trained != self.setup.trials:
            self.interrupts.hold()  # the answer may be a lease, which nobody would hold if it got lost
            try:
                reply = self._ask()
                if reply.lease:
                    trained += 1
                    self._take(reply.lease)
            finally:
                self.interrupts.release()
            if reply.needs:
                self._look(reply.needs)
            elif not reply.lease and not reply.wait:
                if self.readiness.unable and not trained:
                    raise NodeFaultError("; ".join(self.readiness.unable.values()))
                return 0
            elif not reply.lease:
                time.sleep(_POLL_SECONDS)
        return LEFT

    def _ask(self) -> LeaseReply:
        try:
            return self.client.lease(self._request())
        except httpx.TransportError as error:
            log.warning("the study server does not serve us: %s; asking again", error)
            return LeaseReply(wait=True)

    def _look(self, needs: Needs) -> None:
        """Looks for what a study needs; where the server does not answer, it is looked for again later.

        Raises:
            NodeFaultError: there is no room for what the study brings.
        """
        try:
            self.readiness.look(needs)
        except httpx.TransportError as error:
            log.warning("the study server does not serve us: %s; asking again", error)
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            if error.errno not in DISK:
                raise
            raise NodeFaultError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from error

    def _train(self, lease: Lease) -> None:
        """Trains a trial; afterwards its memory is free again.

        Raises:
            NodeFaultError: it is not, or too much has failed here.
        """
        self.breaker.begins(time.monotonic())
        setup = self.setup
        memory = Memory(setup.card, setup.sharing == 1)
        attempt = Attempt(
            self.client, self.context, self.machine, lease, self.interrupts, memory, self.staging, setup.trainer
        )
        ended = attempt.run()
        if setup.card:
            # one that failed early says nothing about what a training takes
            peaks = [peak for peak in (memory.peak_mb, ended.peak_memory_mb) if peak and ended.epochs]
            self.setup.sender.send(Told(max(peaks, default=None), short=ended.failure == "out_of_memory"))
            if fault := memory.returned(attempt.process.pid):
                raise NodeFaultError(fault)
        self._look_at(ended)

    def _look_at(self, ended: Ended) -> None:
        if self.breaker.ended(ended.failure, ended.epochs, time.monotonic()):
            raise NodeFaultError(
                f"{FAILURES} trials failed here in the first minute, the last one by {ended.failure}: "
                f"{ended.reason}; look at this machine with sweep doctor"
            )

    def _take(self, lease: Lease) -> None:
        """Trains a trial, or gives it back where it may not be trained here."""
        try:
            here = self.readiness.here(lease)
        except UserError as error:
            log.error("study %s cannot be trained here: %s", lease.study, error)
            with contextlib.suppress(httpx.TransportError, LeaseLostError):
                self.client.hand_back(lease, str(error), "stopped")
            return
        self._train(here)

    def _request(self) -> LeaseRequest:
        self._asked += 1
        known = {"ready": dict(self.readiness.ready), "unable": dict(self.readiness.unable), "asked": self._asked}
        return self.request.model_copy(update=known)

    def _warm_up(self) -> None:
        """Waits until the fork server has imported torch and mmdet: a lease must not run out meanwhile."""
        first = self.context.Process(target=_nothing)
        first.start()
        first.join()


def _nothing() -> None:
    """What the first child of the fork server does."""


def main(trainer: str = TRAINER) -> int:
    """``python -m runner.worker.agent``: what the pool starts, one process a slot; token in SWEEP_TOKEN."""
    parser = argparse.ArgumentParser(description="Trains trials of a study server in one slot.")
    parser.add_argument("--server", required=True, help="URL of the study server")
    parser.add_argument("--name", required=True, help="name of the slot")
    parser.add_argument("--owner", required=True, help="who runs it")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, required=True, help="CPU threads of torch")
    parser.add_argument("--loader-workers", type=int, default=0, help="processes that load images")
    parser.add_argument("--study", help="take trials of this study only")
    parser.add_argument("--work-dir", type=Path, help="folder of its own; without it the study's, on the same machine")
    parser.add_argument("--data-root", action="append", default=[], metavar="STUDY=DIR", help="where the data lie here")
    parser.add_argument("--allow-plugins", action="store_true", help="run code that a study brings along")
    parser.add_argument("--sharing", type=int, default=1, help="slots on this slot's GPU")
    parser.add_argument("--trials", type=int, help="end after so many")
    parser.add_argument("--tell", type=int, help="descriptor that the pool listens to")
    parser.add_argument("--parent", type=int, help="process this worker must not outlive")
    options = parser.parse_args()
    if options.parent:
        die_with_parent(options.parent)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    machine = Machine(options.threads, options.loader_workers)
    roots = {study: Path(folder) for study, _, folder in (text.partition("=") for text in options.data_root)}
    # on the server's own machine the user who started the study runs its code anyway
    work_dir = options.work_dir.expanduser().absolute() if options.work_dir else None
    place = Place(work_dir, roots, options.allow_plugins or options.work_dir is None)
    sender = Sender(options.tell)
    card = own_card() if options.device.startswith("cuda") else None
    setup = SlotSetup(card, options.sharing, options.trials, sender, trainer)
    try:
        with Client(options.server, os.environ.pop("SWEEP_TOKEN")) as client:
            worker = Worker(client, options.name, options.owner, options.device, machine, place, options.study, setup)
            worker.interrupts.install()
            return worker.run()
    except (NodeFaultError, UserError) as error:
        log.error("%s", error)
        sender.send(Told(fault=str(error)))
        return NODE_FAULT
    except Stopped:
        return 0


if __name__ == "__main__":
    sys.exit(main())
