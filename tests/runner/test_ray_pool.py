"""Workers on a real Ray of several nodes on this machine: counted, placed again, and gone when they should be."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import Waiting

from runner.errors import UserError
from runner.machine import Machine
from runner.pool import cluster
from runner.pool.cluster import Share, join, share
from runner.pool.ray import RayPool

TWO_GPUS = {"CPU": 8.0, "GPU": 2.0}
NO_GPU = {"CPU": 4.0}
HEAD = {"CPU": 0.0}


@pytest.mark.parametrize(
    ("nodes", "gpus", "cpus", "expected", "room"),
    [
        ([TWO_GPUS, NO_GPU], None, None, Share(1, 4), 2),
        ([TWO_GPUS, NO_GPU], 0.5, None, Share(0.5, 2), 4),
        ([TWO_GPUS], 0.4, None, Share(0.4, 2), 4),  # a trial never lies on two GPUs
        ([TWO_GPUS, {"CPU": 2.0, "GPU": 1.0}], None, None, Share(1, 2), 3),
        ([HEAD, NO_GPU, NO_GPU], None, None, Share(0, 4), 2),
        ([HEAD, NO_GPU, {"CPU": 7.0}], 0, 2, Share(0, 2), 5),
        ([HEAD, NO_GPU], 1, None, Share(1, 1), 0),
        ([], None, None, Share(0, 1), 0),
    ],
)
def test_what_a_trial_takes(
    nodes: list[dict[str, float]], gpus: float | None, cpus: int | None, expected: Share, room: int
) -> None:
    found = share(nodes, gpus, cpus)
    assert found == expected
    assert found.room(nodes) == room


def test_only_a_gpu_has_images_loaded_for_it() -> None:
    assert [Share(0.5, n).machine for n in (1, 3, 9)] == [Machine(1, 1), Machine(3, 2), Machine(9, 4)]
    assert Share(0, 4).machine == Machine(4, 0)


@pytest.mark.parametrize(("gpus", "line"), [(2.0, "not 2"), (-1.0, "not -1"), (0.0001, "0.0001 of one are too few")])
def test_gpus_that_no_trial_can_take(gpus: float, line: str) -> None:
    with pytest.raises(UserError, match=line):
        share([TWO_GPUS], gpus, None)


def test_without_the_package_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        UserError, match=r"^the pool ray needs Ray: pip install 'sweep\[ray\]', here and on every node$"
    ):
        join()


def test_no_cluster_is_one_line() -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"^ray://there:10001: name the head of the Ray cluster as HOST:PORT") as caught:
        join("ray://there:10001")
    assert "\n" not in str(caught.value)


Ready = Callable[[], bool]


def until(what: Ready, pool: RayPool | None = None, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        if pool:
            pool.tend()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    """A head without cores, to which each test adds its nodes."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 * 2**20})
    yield found
    import ray

    ray.shutdown()
    found.shutdown()


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    server = Waiting()
    yield server
    server.close()


def add(ray_cluster: Any, **resources: float) -> Any:
    return ray_cluster.add_node(object_store_memory=80 * 2**20, **resources)


def workers(pool: RayPool) -> list[psutil.Process]:
    """The worker processes of a pool, found by their slots' names."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if "runner.worker" in line and any(word.startswith(pool._mark) for word in line):
            found.append(process)
    return found


def trees(pool: RayPool) -> list[psutil.Process]:
    return [each for worker in workers(pool) for each in (worker, *worker.children(recursive=True))]


def gone(processes: list[psutil.Process], seconds: float = 10) -> bool:
    """Whether all have ended within the time that is promised."""
    left = psutil.wait_procs(processes, timeout=seconds)[1]
    return all(process.status() == psutil.STATUS_ZOMBIE for process in left)


def test_half_a_gpu_each_is_what_ray_counts(ray_cluster: Any, tmp_path: Path, waiting: Waiting) -> None:
    import ray

    nodes = [add(ray_cluster, num_cpus=2, num_gpus=1) for _ in range(2)]
    pool = RayPool(
        waiting.url, "secret", "kim", tmp_path / "pool.log", address=ray_cluster.address, gpus_per_trial=0.5,
        folder=tmp_path,
    )  # fmt: skip
    try:
        assert pool.share == Share(0.5, 1)
        until(lambda: len(waiting.workers) == 4, pool)
        assert {each["device"] for each in waiting.workers.values()} == {"cuda:0"}
        assert ray.cluster_resources()["GPU"] == 2
        until(lambda: "GPU" not in ray.available_resources())  # Ray leaves out what is used up
        seen = [process.environ() for process in workers(pool)]
        assert [each["CUDA_VISIBLE_DEVICES"] for each in seen] == ["0"] * 4
        assert {each["SWEEP_TOKEN"] for each in seen} == {"secret"}
        assert not any("secret" in " ".join(process.cmdline()) for process in workers(pool))

        nodes.append(add(ray_cluster, num_cpus=2, num_gpus=1))
        until(lambda: len(waiting.workers) == 6, pool)  # the pool grows with the cluster
        assert ray.cluster_resources()["GPU"] == 3

        ray_cluster.remove_node(nodes.pop(), allow_graceful=False)
        until(lambda: len(workers(pool)) == 4 and len(pool._seats) == 4, pool)
        assert pool.alive
        assert not pool.faulty
    finally:
        left = trees(pool)
        pool.stop()
        for node in nodes:
            ray_cluster.remove_node(node)
    assert gone(left)
    assert not pool.alive


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_actor_takes_its_worker_along_and_comes_back(
    ray_cluster: Any, tmp_path: Path, waiting: Waiting, number: signal.Signals
) -> None:
    node = add(ray_cluster, num_cpus=1)
    pool = RayPool(waiting.url, "secret", "kim", tmp_path / "pool.log", address=ray_cluster.address, folder=tmp_path)
    try:
        until(lambda: len(waiting.workers) == 1, pool)
        before = trees(pool)
        name = next(iter(waiting.workers))
        waiting.workers.clear()
        os.kill(before[0].ppid(), number)
        assert gone(before)
        until(lambda: len(waiting.workers) == 1, pool)  # Ray has started it again
        assert list(waiting.workers) == [name], "under its own name, so that its lease is given back at once"
    finally:
        left = trees(pool)
        pool.stop(polite=False)
        assert gone(left)
        cluster.imported().shutdown()
        ray_cluster.remove_node(node)
