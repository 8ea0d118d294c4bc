"""The agent that owns one slot: lease -> train -> report -> finish, until the server has no more trials.

One thread. The trainer is its grandchild, forked by a fork server that has imported torch and mmdet already.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx

from runner.client import Client, LeaseLostError
from runner.errors import UserError
from runner.lifeline import die_with_parent
from runner.machine import Machine
from runner.protocol import Lease, LeaseRequest, Note
from runner.readiness import Place, Readiness

log = logging.getLogger("sweep.worker")
TRAINER = "runner.trainer"
_POLL_SECONDS = 1.0
_LAST_BREATH = 5.0  # seconds between a trainer's last word and its end
_STOP_PATIENCE = 3.0  # whoever stops a worker waits for it


class NodeFaultError(Exception):
    """This machine can train no trial until somebody mends it."""


class Stopped(BaseException):
    """SIGTERM arrived."""


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
        trainer: module whose ``main(lease_json, machine, link)`` trains in the child.
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
        trainer: str = TRAINER,
    ) -> None:
        self.client, self.machine, self.trainer = client, machine, trainer
        self.readiness = Readiness(client, place)
        self.request = LeaseRequest(worker=name, owner=owner, device=device, host=socket.gethostname(), study=study)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([trainer])

    def run(self) -> None:
        """Works until the server says that nothing is left.

        Raises:
            NodeFaultError: the disk is full or the like; the trial has been handed back.
            UserError: the server refuses the token.
        """
        self._warm_up()
        while True:
            try:
                reply = self.client.lease(self._request())
                if reply.needs:
                    self.readiness.look(reply.needs)
                    continue
            except httpx.TransportError:
                log.warning("the study server does not answer; asking again")
                time.sleep(_POLL_SECONDS)
                continue
            if reply.lease:
                self._train(self.readiness.here(reply.lease))
            elif reply.wait:
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _request(self) -> LeaseRequest:
        known = {"ready": dict(self.readiness.ready), "unable": dict(self.readiness.unable)}
        return self.request.model_copy(update=known)

    def _warm_up(self) -> None:
        """Waits until the fork server has imported torch and mmdet: a lease must not run out meanwhile."""
        first = self.context.Process(target=_nothing)
        first.start()
        first.join()

    def _train(self, lease: Lease) -> None:
        granted = time.monotonic()
        ours, theirs = self.context.Pipe()
        process = self.context.Process(
            target=_trainer,
            args=(lease.model_dump_json(), self.machine, theirs, self.trainer),
            name=f"trial-{lease.trial}",
        )
        try:
            process.start()
            theirs.close()
            self._accompany(lease, process, ours, granted)
        except LeaseLostError as error:
            log.warning("trial %d: %s; its training ends here", lease.trial, error)
        except httpx.TransportError:
            log.warning("trial %d: the study server has not answered for most of the lease", lease.trial)
        except Stopped:
            _kill(process)
            with contextlib.suppress(httpx.HTTPError, LeaseLostError):
                self.client.hand_back(lease, "the worker was stopped", "stopped", _STOP_PATIENCE)
            raise
        finally:
            _kill(process)
            ours.close()

    def _accompany(self, lease: Lease, process: BaseProcess, link: Connection, renewed: float) -> None:
        """Relays the trainer's notes and renews the lease until the trainer ends.

        Raises:
            LeaseLostError: somebody else has the trial now.
            httpx.TransportError: the server does not answer, and the lease is about to end.
            NodeFaultError: this machine can't train; the trial has been handed back.
        """
        while True:
            due = renewed + lease.heartbeat_seconds - time.monotonic()
            ready = wait([link, process.sentinel], timeout=max(0.0, due))
            patience = _patience(lease, renewed)
            note = _receive(link)
            if note is not None:
                if self._relay(lease, note, link, patience):
                    return
                renewed = time.monotonic()
            elif ready:  # it has nothing more to say: it ends, or has ended
                process.join(_LAST_BREATH)
                _kill(process)
                self.client.hand_back(lease, _death(process.exitcode), "crashed", patience)
                return
            else:
                renewed = self._renew(lease, renewed)

    def _relay(self, lease: Lease, note: Note, link: Connection, patience: float) -> bool:
        """Passes a note on; True when the trial is over for this worker."""
        if note.kind == "report" and note.report:
            verdict = self.client.report(lease, note.report, patience)
            with contextlib.suppress(BrokenPipeError):
                link.send_bytes(verdict.model_dump_json().encode())
            return False
        if note.kind == "result" and note.result:
            self.client.finish(lease, note.result, patience)
            return True
        self.client.hand_back(lease, note.reason or "node fault", "node_fault", patience)
        raise NodeFaultError(note.reason)

    def _renew(self, lease: Lease, renewed: float) -> float:
        """Sends a heartbeat; returns when the lease was last renewed."""
        try:
            self.client.heartbeat(lease)
        except httpx.TransportError:
            if _patience(lease, renewed) == 0:
                raise
            time.sleep(_POLL_SECONDS)
            return renewed
        return time.monotonic()


def _patience(lease: Lease, renewed: float) -> float:
    """Seconds that are left to reach the server: what trains must end before the lease does."""
    return max(0.0, renewed + lease.lease_seconds - 2 * lease.heartbeat_seconds - time.monotonic())


def _nothing() -> None:
    """What the first child of the fork server does."""


def _trainer(lease_json: str, machine: Machine, link: Connection, trainer: str = TRAINER) -> None:
    """Runs in the child, where torch is loaded already; the worker itself never loads it."""
    importlib.import_module(trainer).main(lease_json, machine, link)


def _receive(link: Connection) -> Note | None:
    try:
        return Note.model_validate_json(link.recv_bytes()) if link.poll() else None
    except (EOFError, ConnectionResetError):
        return None


def _kill(process: BaseProcess) -> None:
    """Ends the trainer and its loader workers; checkpoints are renamed into place, so this is safe at any time."""
    if process.pid is None:  # it was not even started
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"the trainer was killed by {signal.Signals(-exitcode).name}"
    return f"the trainer ended with exit code {exitcode}"


def _stop(*_: object) -> None:
    raise Stopped


def main(trainer: str = TRAINER) -> int:
    """``python -m runner.worker``: what the pool starts, one process a slot; token in SWEEP_TOKEN."""
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
    parser.add_argument("--parent", type=int, help="process this worker must not outlive")
    options = parser.parse_args()
    if options.parent:
        die_with_parent(options.parent)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _stop)
    machine = Machine(options.threads, options.loader_workers)
    roots = {study: Path(folder) for study, _, folder in (text.partition("=") for text in options.data_root)}
    # on the server's own machine the user who started the study runs its code anyway
    work_dir = options.work_dir.expanduser().absolute() if options.work_dir else None
    place = Place(work_dir, roots, options.allow_plugins or options.work_dir is None)
    try:
        with Client(options.server, os.environ.pop("SWEEP_TOKEN")) as client:
            Worker(client, options.name, options.owner, options.device, machine, place, options.study, trainer).run()
    except (NodeFaultError, UserError) as error:
        log.error("%s", error)
        return 3
    except Stopped:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
