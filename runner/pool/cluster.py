"""A Ray cluster: joining it, and how many trainings it holds. Ray places workers; trials come from the study server."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.errors import UserError
from runner.machine import Machine

_MOST_LOADERS = 4  # as for the slots of one machine (`runner.machine.slots`)
_LOOPBACK = "127.0.0.1"
_KNOCK_SECONDS = 5.0
Resources = Mapping[str, float]


@dataclass(frozen=True)
class Share:
    """What one trial takes of a node.

    Attributes:
        gpus: 1, a fraction of one GPU, or 0 for a training on the CPU.
        cpus: cores, the same on every node: thread counts are part of a training's digits.
    """

    gpus: float
    cpus: int

    @property
    def machine(self) -> Machine:
        """Threads and loader workers; as on one machine, only trainings on a GPU have images loaded for them."""
        return Machine(self.cpus, max(1, min(_MOST_LOADERS, self.cpus - 1)) if self.gpus else 0)

    @property
    def sharing(self) -> int:
        """How many trials may be on one GPU, ours and others'; 0 without a GPU."""
        return math.ceil(1 / self.gpus - 1e-9) if self.gpus else 0

    def room(self, nodes: Sequence[Resources]) -> int:
        """How many such trials the nodes hold at a time, whoever uses them now."""
        return sum(min(_on_gpus(node, self.gpus), int(node.get("CPU", 0) // self.cpus)) for node in nodes)


def share(nodes: Sequence[Resources], gpus: float | None, cpus: int | None) -> Share:
    """What a trial takes: by default one GPU where the cluster has any, and an even part of the smallest node's cores.

    Args:
        nodes: resources of the living nodes, e.g. ``{"CPU": 16.0, "GPU": 2.0}``.
        gpus: of ``--gpus-per-trial``.
        cpus: cores of a trial, where the user says so.

    Raises:
        UserError: a trial cannot take that many GPUs.
    """
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    if not 0 <= gpus <= 1:
        raise UserError(f"a trial trains on one GPU: GPUs per trial are a number from 0 (CPU) to 1, not {gpus:g}")
    if 0 < gpus < 0.001:
        raise UserError(f"Ray counts GPUs in steps of 0.001; {gpus:g} of one are too few for a trial")
    # each node's cores, by the trials that its GPUs hold; without GPUs a trial has the node to itself
    parts = [int(node.get("CPU", 0) // (_on_gpus(node, gpus) if gpus else 1)) for node in nodes if _on_gpus(node, gpus)]
    return Share(gpus, cpus or max(1, min((part for part in parts if part), default=1)))


def _on_gpus(node: Resources, gpus: float) -> int:
    """Trials that the GPUs of a node hold: a trial never lies on two of them. Without GPUs, any number."""
    if not gpus:
        return int(node.get("CPU", 0))
    return int(node.get("GPU", 0)) * int(1 / gpus + 1e-9)


def join(address: str | None = None) -> str:
    """Joins a running cluster, or starts Ray on this machine; does nothing where that is done.

    Args:
        address: ``HOST:PORT`` of the head, or ``auto`` for the cluster of this machine. None: what RAY_ADDRESS says,
            else a Ray of our own that ends with this process.

    Returns:
        The address of this machine under which every node reaches it; the study server listens there.

    Raises:
        UserError: Ray is not installed, or there is no cluster at this address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    ray = imported()
    if address and "://" in address:
        raise UserError(f"{address}: name the head of the Ray cluster as HOST:PORT, and start this on one of its nodes")
    if not ray.is_initialized():
        with _own_signals():
            _init(ray, address or os.environ.get("RAY_ADDRESS"))
    ours: str = ray.util.get_node_ip_address()
    elsewhere = any(node["NodeManagerAddress"] != ours for node in ray.nodes() if node["Alive"])
    return ours if elsewhere else _LOOPBACK


def gpus_of(address: str | None = None) -> int:
    """How many GPUs the nodes of a cluster have together. Raises as `join`, which it does first."""
    join(address)
    return int(sum(node.get("GPU", 0) for node in living(imported())))


def imported() -> Any:
    """The package, which is an extra.

    Raises:
        UserError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("the pool ray needs Ray: pip install 'sweep[ray]', here and on every node") from error
    return ray


def living(ray: Any) -> list[Resources]:
    """Resources of each node that lives."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _init(ray: Any, address: str | None) -> None:
    if address and ":" in address:
        _knock(address, ray.util.get_node_ip_address())
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        raise UserError(f"{where} does not answer: {_line(error)}") from error
    # Ray prints what befalls its nodes to stdout, which is for answers; the workers' log has what concerns us
    ray._private.worker._worker_logs_enabled = False


def _knock(address: str, ours: str) -> None:
    """Sees whether anything listens there: Ray itself would try for two minutes.

    Raises:
        UserError: nothing does, or the address is none.
    """
    host, _, port = address.rpartition(":")
    problem: OSError | None = None
    for name in dict.fromkeys([host, ours if host in (_LOOPBACK, "localhost") else host]):
        try:
            socket.create_connection((name, int(port)), timeout=_KNOCK_SECONDS).close()
        except OSError as error:
            problem = error
        except (ValueError, OverflowError) as error:
            raise UserError(f"{address}: name the head of the Ray cluster as HOST:PORT") from error
        else:
            return
    raise UserError(f"the Ray cluster at {address} does not answer: {problem}")


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; it is the command's, which hands trials back."""
    taken = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
