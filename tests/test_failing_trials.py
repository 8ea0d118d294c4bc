"""Real workers with real trainings that fail, at a real server: what becomes of the trials and what is recorded."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from made_up import Bench

from results.records import TrialRecord
from runner.machine import Machine, Slot
from runner.pool.local import LocalPool
from runner.wire.client import Client
from runner.worker import breaker
from runner.worker.agent import Worker
from runner.worker.attempt import NodeFaultError
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.registry import Registry
from sweeps.study.setup import locate_data

HERE = Path(__file__).parent
ONE = Machine(threads=1, loader_workers=0)
SPACE = """\
study: made_up
data: demo
plugins: [{plugin}]
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: 2, image_size: 64, batch_size: 4, schedule: constant, {fixed}}}
search: {{seed: [{seeds}]}}
budget: {{trials: {trials}{budget}}}
"""


@dataclass
class Site:
    """A study on the nuclei, at a server on the loopback address."""

    coordinator: Coordinator
    url: str
    folder: Path

    def pool(self) -> LocalPool:
        return LocalPool(self.url, "token", "Ann", [Slot("cpu-0", None, ONE)], self.folder / "workers.log")

    def worker(self) -> Worker:
        return Worker(Client(self.url, "token"), "w1", "Ann", "cpu", ONE)

    def row(self, number: int = 0) -> TrialRecord:
        return self.coordinator.study.row(number)

    def ends(self, number: int = 0) -> list[tuple[str | None, int | None, int | None]]:
        """Of each attempt: how it ended, with which batch and accumulation."""
        attempts = self.coordinator.study.store.attempts("made_up", number)
        return [(one.end, one.batch_size, one.accumulate) for one in attempts]

    def tend(self, pool: LocalPool, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 400
        while not until():
            assert time.monotonic() < deadline, (self.folder / "workers.log").read_text()
            pool.tend()
            self.coordinator.tick()
            time.sleep(0.1)


@contextlib.contextmanager
def site(folder: Path, fixed: str, trials: int = 1, budget: str = "") -> Iterator[Site]:
    data = locate_data(str(HERE / "data" / "nuclei" / "data.yaml"), "tiny", folder)
    seeds = ", ".join(str(seed) for seed in range(trials + 1))
    plugin = HERE / "runner" / "trouble.py"
    text = SPACE.format(plugin=plugin, fixed=fixed, seeds=seeds, trials=trials, budget=budget)
    with Bench(folder, text, data=data).study() as study:
        registry = Registry()
        coordinator = Coordinator(study)
        registry.add(coordinator)
        with Server(create_app(registry, "token")) as server:
            yield Site(coordinator, server.url, folder)


def trouble(kind: str, once: Path | None = None) -> str:
    done = f", once: {once}" if once else ""
    return f"augmentation: {{trouble: {{kind: {kind}{done}}}}}"


def test_what_ran_out_of_memory_begins_anew_with_half_the_batch(tmp_path: Path) -> None:
    with site(tmp_path, trouble("huge", tmp_path / "done")) as at:
        assert at.worker().run() == 0
        row = at.row()
        assert (row.state, row.adjusted) == ("complete", {"batch_size": 2, "accumulate": 2}), row.reason
        assert at.ends() == [("out_of_memory", 4, 1), ("complete", 2, 2)]
        config = (tmp_path / "work_dirs" / "made_up" / "0" / "config.py").read_text()
        assert "accumulative_counts=2" in config.replace(" ", "")


def test_what_runs_out_of_memory_with_half_the_batch_too_is_infeasible(tmp_path: Path) -> None:
    with site(tmp_path, trouble("huge")) as at:
        assert at.worker().run() == 0
        row = at.row()
        assert (row.state, row.failure) == ("infeasible", "out_of_memory")
        assert row.reason == "out of memory: tried to allocate 4,294,967,296 MiB, with half the batch as well"
        assert at.ends() == [("out_of_memory", 4, 1), ("out_of_memory", 2, 2)]


def test_a_study_whose_first_trials_fail_alike_pauses(tmp_path: Path) -> None:
    rate = "optimizer: {SGD: {lr: 1000.0, momentum: 0.99}}, clip_grad: 0"
    with site(tmp_path, rate, trials=7) as at:
        pool = at.pool()
        at.tend(pool, lambda: at.coordinator.paused is not None)
        pool.stop()
        ended = at.coordinator.study.store.trials("made_up")
        assert [row.failure for row in ended[:5]] == ["nan_loss"] * 5
        assert at.coordinator.tripped and at.coordinator.record().state == "paused"
        reason = at.coordinator.record().reason or ""
        assert reason.startswith("the first 5 trials all ended alike (nan_loss), the last one: the loss is "), reason


def test_a_worker_whose_first_trials_fail_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "MINUTE", 600.0)  # this machine may be busy
    with site(tmp_path, trouble("bug"), trials=7) as at:
        with pytest.raises(
            NodeFaultError, match=r"^3 trials failed here in the first minute, the last one by code_error"
        ):
            at.worker().run()
        rows = at.coordinator.study.store.trials("made_up")
        assert [(row.state, row.failure) for row in rows] == [("failed", "code_error")] * 3


def test_a_training_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with site(tmp_path, trouble("sleep"), budget=", trial_hours: 0.002") as at:
        assert at.worker().run() == 0
        row = at.row()
        assert (row.state, row.failure) == ("failed", "time_out")
        assert row.reason == "it trained for longer than the space's budget.trial_hours"


@pytest.mark.parametrize("preempted", [True, False])
def test_a_pool_that_is_told_to_end_hands_its_trials_back(tmp_path: Path, preempted: bool) -> None:
    with site(tmp_path, "amp: false") as at:
        pool = at.pool()
        at.tend(pool, lambda: any(one.epoch for one in at.coordinator.running()))
        pool.stop(preempted=preempted)
        assert [end for end, _, _ in at.ends()] == ["preempted" if preempted else "stopped"]
        assert (at.row().state, pool.alive, pool.faulty) == ("waiting", False, False)
        again = at.pool()
        at.tend(again, lambda: not again.alive)
        assert at.row().state == "complete"
        assert [one.epoch for one in at.coordinator.study.store.epochs("made_up", 0)] == [1, 2]


def test_a_trainer_that_is_killed_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    with site(tmp_path, trouble("kill", tmp_path / "done")) as at:
        assert at.worker().run() == 0
        assert (at.row().state, at.ends()) == ("complete", [("crashed", 4, 1), ("complete", 4, 1)])


def test_a_worker_without_the_images_says_so_and_is_not_started_again(tmp_path: Path) -> None:
    with site(tmp_path, "amp: false") as at:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        for name in ("train.json", "val.json"):
            shutil.copy(HERE / "data" / "nuclei" / name, elsewhere)
        options = ("--work-dir", str(tmp_path / "work"), "--allow-plugins", "--data-root", f"={elsewhere}")
        log = tmp_path / "workers.log"
        pool = LocalPool(at.url, "token", "Ann", [Slot("cpu-0", None, ONE)], log, options)
        at.tend(pool, lambda: not pool.alive)
        (fault,) = pool.faults
        assert fault.startswith(f"cpu-0: data nuclei: {elsewhere / 'train'}"), fault
        assert fault.endswith("; name the folder that holds them with --data-root")
        assert not at.coordinator.study.store.trials("made_up")


@contextlib.contextmanager
def memory_group(megabytes: int) -> Iterator[Path]:
    """A control group of that much memory; the test is skipped where nobody may make one."""
    version2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    group = Path("/sys/fs/cgroup" if version2 else "/sys/fs/cgroup/memory") / f"sweep-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.max" if version2 else "memory.limit_in_bytes")).write_text(str(megabytes * 2**20))
    except OSError as error:
        pytest.skip(f"a control group cannot be made here: {error}")
    try:
        yield group
    finally:
        for _ in range(50):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


def test_a_trainer_that_the_kernel_kills_for_want_of_memory(tmp_path: Path) -> None:
    with memory_group(2500) as group, site(tmp_path, trouble("grow")) as at:
        pool = at.pool()
        (worker,) = [child for child in psutil.Process().children() if "runner.worker.agent" in child.cmdline()]
        worker.send_signal(signal.SIGSTOP)
        (group / "cgroup.procs").write_text(str(worker.pid))
        worker.send_signal(signal.SIGCONT)
        at.tend(pool, lambda: not pool.alive)
        row = at.row()
        assert (row.state, row.failure) == ("infeasible", "out_of_memory"), row.reason
        assert row.reason == "out of memory: the kernel killed the trainer, with half the batch as well"
