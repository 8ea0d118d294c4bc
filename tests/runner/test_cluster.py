"""A Ray cluster's nodes as numbers, and what stands in the way of joining one."""

from __future__ import annotations

import sys

import pytest

from runner.errors import UserError
from runner.machine import Machine
from runner.pool.cluster import Share, join, share

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


def test_how_many_are_on_a_gpu() -> None:
    assert [Share(gpus, 1).sharing for gpus in (0, 1, 0.5, 0.4, 0.1, 1 / 3)] == [0, 1, 2, 3, 10, 3]


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


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("127.0.0.1:9", "the Ray cluster at 127.0.0.1:9 does not answer: [Errno 111] Connection refused"),
        ("head:ray", "head:ray: name the head of the Ray cluster as HOST:PORT"),
    ],
)
def test_an_address_where_no_cluster_is(address: str, line: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError) as caught:
        join(address)
    assert str(caught.value) == line
