"""Workers on a Ray cluster: actors that Ray places, and starts again elsewhere when their node dies."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from runner.errors import UserError
from runner.machine import Machine, Slot
from runner.pool.cluster import Share, imported, join, living, share
from runner.pool.local import LocalPool

_LOOK_SECONDS = 2.0  # between two looks at the cluster's nodes
_POLITE_SECONDS = 8.0  # LocalPool's own, and the way there
_MAX_DEATHS = 5  # of one actor that never came to work; then its node's installation is wrong
State = Literal["working", "ended", "faulty"]


class NodeWorker:
    """What an actor is: one slot of the node it was placed on, kept by a LocalPool of one worker.

    The worker is a process of its own, as on one machine: it ends with the actor, its trainer with it.

    Args:
        url, token, owner: as LocalPool's.
        name: of the slot; the same wherever Ray places the actor again, so that its lost trial is given out at once.
        machine: threads and loader workers.
        sharing: how many workers are on its GPU; 0 for a training on the CPU.
        options: further words of the worker's command line.
    """

    def __init__(
        self, url: str, token: str, owner: str, name: str, machine: Machine, sharing: int, options: Sequence[str]
    ) -> None:
        # Ray has chosen: what it set is passed on as it stands
        device = os.environ.get("CUDA_VISIBLE_DEVICES", "") if sharing else ""
        slot = Slot(name, device or None, machine, max(1, sharing))
        log = platformdirs.user_cache_path("sweep") / "ray" / f"{name}.log"
        self._pool = LocalPool(url, token, owner, [slot], log, options)
        atexit.register(self._pool.stop, preempted=True)  # SIGTERM (`ray stop`, a node that is taken away)

    def look(self) -> tuple[State, str, str]:
        """How the worker fares, the node's name, and why the worker gave up if it did."""
        self._pool.tend()
        host = socket.gethostname()
        if self._pool.alive:
            return "working", host, ""
        return ("faulty", host, "; ".join(self._pool.faults)) if self._pool.faulty else ("ended", host, "")

    def stop(self) -> None:
        """Ends the worker politely."""
        self._pool.stop()


@dataclass
class _Worker:
    name: str
    actor: Any
    answer: Any = None  # of the `look` that is under way
    here: bool = False  # the actor lives somewhere, as far as we know
    deaths: int = 0
    state: State = "working"
    fault: str = ""


class RayPool:
    """As many workers as the cluster holds, more when it grows; the interface of LocalPool.

    A node that dies takes its actors along; Ray starts them elsewhere as soon as there is room. Without `workers`
    those for which there is none are given up until the cluster grows again.

    Args:
        url: of the study server, as every node reaches it (see `runner.pool.cluster.join`).
        token: handed over to the actors, never on a command line.
        owner: who runs the workers.
        log: file that takes what is worth telling of the nodes.
        address: of the cluster, as for `join`.
        workers: how many are wanted, also where the cluster has to grow for them; None for as many as it holds.
        gpus_per_trial: 1, a fraction, or 0; None for one where the cluster has any.
        cpus_per_trial: cores of a trial; None for an even part of the smallest node.
        options: further words of every worker's command line (`runner.worker.agent`), e.g. its ``--work-dir``.

    Raises:
        UserError: Ray is missing, there is no such cluster, or no node can hold a trial.
    """

    def __init__(
        self,
        url: str,
        token: str,
        owner: str,
        log: Path,
        *,
        address: str | None = None,
        workers: int | None = None,
        gpus_per_trial: float | None = None,
        cpus_per_trial: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        join(address)
        self._ray = imported()
        nodes = living(self._ray)
        self.share: Share = share(nodes, gpus_per_trial, cpus_per_trial)
        if not workers and not self.share.room(nodes):
            raise UserError(_no_room(self.share))
        self._given = (url, token, owner)
        self._options = tuple(options)
        self._log, self._asked = log, workers
        log.parent.mkdir(parents=True, exist_ok=True)
        self._mark = f"ray-{secrets.token_hex(3)}"
        self._workers: list[_Worker] = []
        self._begun, self._looked = 0, -_LOOK_SECONDS
        self.tend()

    def tend(self) -> None:
        """Hears every actor and follows the cluster's size; call it about once a second. Never waits."""
        for worker in self._workers:
            if worker.state == "working":
                self._hear(worker)
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._fit(self._asked or self.share.room(living(self._ray)))

    @property
    def alive(self) -> bool:
        """Whether any worker still works, or will when the cluster has a node again."""
        return not self._workers or any(worker.state == "working" for worker in self._workers)

    @property
    def faulty(self) -> bool:
        """Whether a worker gave up because of its node."""
        return any(worker.state == "faulty" for worker in self._workers)

    @property
    def faults(self) -> list[str]:
        """Why workers gave up, one line each."""
        return [worker.fault for worker in self._workers if worker.fault]

    def stop(self, polite: bool = True) -> None:
        """Ends all workers and leaves the cluster; politely, they hand their trials back first."""
        here = [worker.actor for worker in self._workers if worker.here and worker.state == "working"]
        if polite and here:
            ends = [actor.stop.remote() for actor in here]
            self._ray.wait(ends, num_returns=len(ends), timeout=_POLITE_SECONDS)
        for worker in self._workers:
            self._ray.kill(worker.actor)
            worker.state = "faulty" if worker.state == "faulty" else "ended"
        if polite:
            self._ray.shutdown()

    def _hear(self, worker: _Worker) -> None:
        if worker.answer is None:
            worker.answer = worker.actor.look.remote()
        if not self._ray.wait([worker.answer], timeout=0)[0]:
            return
        answer, worker.answer = worker.answer, None
        try:
            state, host, words = self._ray.get(answer)
        except self._ray.exceptions.ActorDiedError as error:  # for good: it could not begin
            self._replace(worker, error)
        except self._ray.exceptions.RayError:  # Ray starts it again where there is room
            if worker.here:
                self._note(f"{worker.name} was lost; Ray starts it again")
            worker.here = False
        else:
            if not worker.here:
                self._note(f"{worker.name} works on {host}")
            worker.here, worker.state, worker.deaths = True, state, 0
            if state == "faulty":  # it keeps its place: nothing else of ours is put on that node
                worker.fault = f"{words} (on {host})"
                self._note(f"{worker.name} gave up: {worker.fault}")
            elif state == "ended":
                self._ray.kill(worker.actor)  # its share of the node is somebody else's now

    def _replace(self, worker: _Worker, error: BaseException) -> None:
        worker.deaths, worker.here = worker.deaths + 1, False
        why = f"{worker.name} cannot begin: {' '.join(str(error).split())[-500:]}"
        self._note(why)
        if worker.deaths >= _MAX_DEATHS:
            worker.state, worker.fault = "faulty", why
            return
        worker.actor = self._begin(worker.name)

    def _fit(self, wanted: int) -> None:
        """Makes the number of workers `wanted`, as far as no worker is sent away from its work."""
        if any(worker.state == "ended" for worker in self._workers):  # the server has nothing left
            wanted = 0
        elif wanted > len(self._workers):
            for _ in range(wanted - len(self._workers)):
                name = f"{self._mark}-{self._begun}"
                self._begun += 1
                self._workers.append(_Worker(name, self._begin(name)))
        waiting = [worker for worker in self._workers if not worker.here and worker.state == "working"]
        for worker in waiting[: max(0, len(self._workers) - wanted)]:
            self._ray.kill(worker.actor)
            self._workers.remove(worker)
            self._note(f"{worker.name} is given up: the cluster has no room for it")

    def _begin(self, name: str) -> Any:
        needs = {"num_gpus": self.share.gpus, "num_cpus": self.share.cpus}
        actor = self._ray.remote(**needs, max_restarts=-1, max_task_retries=0, scheduling_strategy="SPREAD")(NodeWorker)
        return actor.remote(*self._given, name, self.share.machine, self.share.sharing, self._options)

    def _note(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")


def _no_room(wanted: Share) -> str:
    what = f"{wanted.gpus:g} GPU and {wanted.cpus} CPU cores" if wanted.gpus else f"{wanted.cpus} CPU cores"
    return f"no node of the Ray cluster has {what}, which a trial takes; --workers N asks the cluster to grow"
