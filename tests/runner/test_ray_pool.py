"""Workers on a real Ray of several nodes on this machine: counted, placed again, and gone when they should be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from desk import NUCLEI, Desk, alive, family
from waiting import Waiting

from runner.errors import UserError
from runner.pool.cluster import Share
from runner.pool.ray import RayPool

Nodes = list[Any]


def until(what: Callable[[], bool], pool: RayPool, seconds: float = 120) -> None:
    """Tends the pool until `what` has come about."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        pool.tend()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def head() -> Iterator[Any]:
    """A Ray cluster whose head has no cores; each test adds its nodes."""
    cluster = pytest.importorskip("ray.cluster_utils")
    handler = signal.getsignal(signal.SIGTERM)
    found = cluster.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 * 2**20})
    yield found
    found.shutdown()
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def nodes(head: Any) -> Iterator[Nodes]:
    """The nodes that a test has added; they sign off after it, so that the next one does not count them."""
    found: Nodes = []
    yield found
    for node in found:
        head.remove_node(node, allow_graceful=True)


def add(head: Any, nodes: Nodes, **resources: float) -> None:
    nodes.append(head.add_node(object_store_memory=80 * 2**20, **resources))


def kill(head: Any, node: Any) -> None:
    """The node dies as if its plug were pulled."""
    head.remove_node(node, allow_graceful=False)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    server = Waiting()
    yield server
    server.close()


@contextmanager
def pooled(pool: RayPool) -> Iterator[RayPool]:
    """The pool, politely stopped afterwards; nothing of it is left then."""
    try:
        yield pool
    finally:
        left = workers(pool)
        below = [each for worker in left for each in family(worker.pid)]
        pool.stop()
    assert gone(left)
    assert gone(below, 60), "an idle fork server takes its time where others need the cores"
    assert not pool.alive


def workers(pool: RayPool) -> list[psutil.Process]:
    """The worker processes of a pool, found by their slots' names."""
    lines = {each: each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])}
    return [each for each, line in lines.items() if "runner.worker.agent" in line and pool._mark in " ".join(line)]


def name_of(worker: psutil.Process) -> str:
    line = worker.cmdline()
    return line[line.index("--name") + 1]


def gone(processes: list[psutil.Process], seconds: float = 20) -> bool:
    """Whether all of them end within the time that is promised."""
    return not alive(psutil.wait_procs(processes, timeout=seconds)[1])


def test_half_a_gpu_each_is_what_ray_counts(head: Any, nodes: Nodes, tmp_path: Path, waiting: Waiting) -> None:
    import ray

    add(head, nodes, num_cpus=2, num_gpus=1)
    given = {"address": head.address, "gpus_per_trial": 0.5}
    with pooled(RayPool(waiting.url, "secret", "kim", tmp_path / "pool.log", **given)) as pool:
        assert pool.share == Share(0.5, 1)
        until(lambda: len(waiting.workers) == 2, pool)
        assert {each["device"] for each in waiting.workers.values()} == {"cuda:0"}
        assert ray.cluster_resources()["GPU"] == 1
        assert "GPU" not in ray.available_resources(), "Ray leaves out what is used up"
        seen = [worker.environ() for worker in workers(pool)]
        assert [each["CUDA_VISIBLE_DEVICES"] for each in seen] == ["0", "0"]
        assert not any("secret" in " ".join(worker.cmdline()) for worker in workers(pool))

        add(head, nodes, num_cpus=2, num_gpus=1)
        until(lambda: len(workers(pool)) == 4, pool)  # the pool grows with the cluster
        assert ray.cluster_resources()["GPU"] == 2
        assert "GPU" not in ray.available_resources()

        kill(head, nodes.pop())
        until(lambda: len(workers(pool)) == 2 and len(pool._workers) == 2, pool)
        assert pool.alive
        assert not pool.faulty


@pytest.mark.slow
def test_an_actor_takes_its_worker_along_and_comes_back(
    head: Any, nodes: Nodes, tmp_path: Path, waiting: Waiting, capfd: pytest.CaptureFixture[str]
) -> None:
    add(head, nodes, num_cpus=1)
    handler = signal.getsignal(signal.SIGTERM)
    with pooled(RayPool(waiting.url, "secret", "kim", tmp_path / "pool.log", address=head.address)) as pool:
        until(lambda: len(waiting.workers) == 1, pool)
        (name,) = waiting.workers
        for number in (signal.SIGTERM, signal.SIGKILL):
            (worker,) = workers(pool)
            os.kill(worker.ppid(), number)
            assert gone([worker])
            until(lambda: bool(workers(pool)), pool)
            assert [name_of(worker) for worker in workers(pool)] == [name], "its lost trial is given back at once"
        assert signal.getsignal(signal.SIGTERM) == handler, "the command's own, not Ray's"
    assert "works on" in (tmp_path / "pool.log").read_text()
    assert capfd.readouterr().out == "", "stdout is for answers"


def test_a_worker_that_gives_up_says_why(head: Any, nodes: Nodes, tmp_path: Path, waiting: Waiting) -> None:
    add(head, nodes, num_cpus=1)
    with pooled(RayPool(waiting.url, "wrong", "kim", tmp_path / "pool.log", address=head.address)) as pool:
        until(lambda: pool.faulty, pool)
        assert not pool.alive
        (line,) = pool.faults
    assert "the study server refuses this token" in line
    assert line in (tmp_path / "pool.log").read_text()


def test_no_room_is_one_line(head: Any, nodes: Nodes, tmp_path: Path) -> None:
    import ray

    add(head, nodes, num_cpus=1)
    with pytest.raises(UserError) as caught:
        RayPool("http://127.0.0.1:9", "x", "kim", tmp_path / "pool.log", address=head.address, gpus_per_trial=1)
    ray.shutdown()
    assert str(caught.value) == (
        "no node of the Ray cluster has 1 GPU and 1 CPU cores, which a trial takes; "
        "--workers N asks the cluster to grow"
    )


SPACE = """\
study: {name}
data: {data}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: 3, image_size: 64, batch_size: 2}}
search: {{seed: {seeds}}}
budget: {{trials: {trials}}}
"""
TOKEN = "a-token-for-the-test"


def submit(desk: Desk, server: str, name: str, seeds: list[int]) -> None:
    desk.write(SPACE.format(name=name, data=NUCLEI, seeds=seeds, trials=len(seeds)), f"{name}.yaml")
    desk.spawn("start", f"{name}.yaml", "--server", server, "--token-file", "token")


def rows(desk: Desk, server: str, name: str) -> list[dict[str, Any]]:
    done = desk.run("rank", "--all", "--study", name, "--server", server, "--token-file", "token", "--format", "json")
    if done.returncode:
        return []
    found: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return found


def test_start_on_a_cluster(head: Any, nodes: Nodes, desk: Desk) -> None:
    """The command: its own study server on the cluster's network, workers where Ray puts them."""
    add(head, nodes, num_cpus=2, num_gpus=1)
    desk.write(SPACE.format(name="nodes", data=NUCLEI, seeds=[0], trials=1))
    given = ("--pool", "ray", "--address", head.address, "--gpus-per-trial", "0.5")
    wrong = desk.run("start", "space.yaml", *given, "--server", "http://127.0.0.1:9")
    assert (wrong.returncode, wrong.stderr.splitlines()[-1]) == (
        2,
        "Error: --pool ray belongs to a start without --server",
    )
    lost = desk.run("start", "space.yaml", *given, "--data-root", str(desk.folder / "nowhere"))
    assert lost.returncode == 1, lost.stderr
    assert "name the folder that holds them with --data-root" in lost.stderr and "nowhere" in lost.stderr
    shutil.copytree(NUCLEI.parent, desk.folder / "there")
    done = desk.run("start", "space.yaml", *given, "--data-root", str(desk.folder / "there"))
    assert done.returncode == 0, done.stderr
    assert "trial 0 complete segm_mAP" in done.stderr
    assert done.stdout.splitlines()[0].startswith("#  trial  owner"), "nothing of Ray's in the answer"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_node_dies_and_every_trial_finishes(head: Any, nodes: Nodes, desk: Desk) -> None:
    """Real trainings on two nodes, one of which dies in the middle; then the same two undisturbed, for comparison."""
    desk.write(TOKEN, "token")
    desk.spawn("serve", "--port", "0", "--token-file", "token")
    desk.wait_for(lambda: " serves " in desk.err())
    server = desk.err().split(" serves ")[0].split()[-1]
    submit(desk, server, "nodes", [0, 1, 2])
    for _ in range(2):
        add(head, nodes, num_cpus=2, num_gpus=1)
    options = ["--work-dir", str(desk.folder / "trials")]
    pool = RayPool(server, TOKEN, "kim", desk.folder / "pool.log", address=head.address, options=options)
    with pooled(pool):
        assert pool.share == Share(1, 2)
        lost: list[dict[str, Any]] = []

        def both_train() -> bool:
            lost[:] = [row for row in rows(desk, server, "nodes") if row["state"] == "running" and row["best_epoch"]]
            return len(lost) == 2

        until(both_train, pool)
        before = [each for worker in workers(pool) for each in family(worker.pid)]
        kill(head, nodes.pop())
        until(lambda: len(alive(before)) <= len(before) // 2, pool, seconds=10)
        until(lambda: [row["state"] for row in rows(desk, server, "nodes")] == ["complete"] * 3, pool, 300)
        taken = rows(desk, server, "nodes")
        submit(desk, server, "again", [lost[0]["seed"], lost[1]["seed"]])
        until(lambda: [row["state"] for row in rows(desk, server, "again")] == ["complete"] * 2, pool, 300)
    undisturbed = {row["seed"]: row["segm_mAP"] for row in rows(desk, server, "again")}
    assert {row["seed"]: row["segm_mAP"] for row in taken if row["seed"] in undisturbed} == undisturbed
    assert {row["epochs"] for row in taken} == {3}
