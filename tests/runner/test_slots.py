"""GPUs: what is decided from NVML's figures, who has which, how many trials share one. No GPU is needed, or faked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import UserError
from runner.machine import slots
from runner.pool.claims import Claims
from runner.pool.gpus import Gpu, allowed, auto_slots, choose, found, given_back
from runner.pool.telling import Receiver, Sender, Told
from runner.pool.workers import Capacity
from runner.protocol import Failure
from runner.worker.breaker import Breaker
from runner.worker.memory import Memory
from runner.worker.oomkills import oom_kills

TWO = [
    Gpu(0, "GPU-11111111-aaaa-bbbb-cccc-000000000001", "NVIDIA A100 80GB", 81920),
    Gpu(1, "GPU-22222222-aaaa-bbbb-cccc-000000000002", "NVIDIA L4", 23034),
]


@pytest.mark.parametrize(
    ("memory", "peak", "cores", "gpus", "slots"),
    [
        (81920, 9000, 64, 1, 8),  # 8.19
        (23034, 9000, 64, 1, 2),
        (23034, 22000, 64, 1, 1),  # it fits, but not in nine tenths: one is always tried
        (11264, 20000, 64, 1, 1),
        (81920, 900, 16, 1, 16),  # a core for each
        (81920, 900, 16, 4, 4),
        (81920, 900, 2, 4, 1),
        (81920, 0, 16, 1, 1),
    ],
)
def test_as_many_as_fit_nine_tenths_of_the_memory(
    memory: float, peak: float, cores: int, gpus: int, slots: int
) -> None:
    assert auto_slots(memory, peak, cores, gpus) == slots


def test_memory_is_back_when_the_process_is_gone() -> None:
    assert not given_back(seen=True, held=True, used_mb=500, before_mb=500, alone=True)
    assert given_back(seen=True, held=False, used_mb=9000, before_mb=500, alone=False)  # the others' memory
    # in a container NVML names nobody: the sum has to do, where it says something
    assert not given_back(seen=False, held=False, used_mb=9000, before_mb=500, alone=True)
    assert given_back(seen=False, held=False, used_mb=520, before_mb=500, alone=True)
    assert given_back(seen=False, held=False, used_mb=9000, before_mb=500, alone=False)


def test_cards_are_named_as_cuda_names_them() -> None:
    one, two = TWO
    assert choose(TWO, ["1", "0"]) == [("1", two), ("0", one)]
    assert choose(TWO, ["GPU-2222"]) == [("GPU-2222", two)]
    assert choose(TWO, [one.uuid]) == [(one.uuid, one)]
    assert choose(TWO, ["GPU-"]) == []  # fits both
    assert choose(TWO, ["0", "7", "1"]) == [("0", one)]  # CUDA stops at the first that is not there
    assert choose(TWO, ["MIG-abc"]) == [("MIG-abc", None)]
    assert choose(TWO, [""]) == []


def test_cards_that_may_be_used_are_those_that_cuda_would_use() -> None:
    for visible, names in {
        None: ["0", "1"], "1": ["1"], "1, 0": ["1", "0"], "GPU-2222": ["GPU-2222"], "0,7,1": ["0"],
        "MIG-abc": ["MIG-abc"], "": [], "-1": [], "NoDevFiles": [], "0,-1,1": ["0"],
    }.items():  # fmt: skip
        assert allowed(TWO, visible) == names
    assert allowed([], "7") == []
    there = f"unset it, or write one of 0 ({TWO[0].uuid}), 1 ({TWO[1].uuid})"
    for visible in ("7", "GPU-33333333", "GPU-", "7,0"):
        with pytest.raises(UserError) as caught:
            allowed(TWO, visible)
        assert str(caught.value) == f"CUDA_VISIBLE_DEVICES={visible} names no GPU of this machine; {there}"


def test_the_largest_peak_counts_and_what_ran_short_together_is_too_many() -> None:
    capacity = Capacity({"0": 81920.0}, cores=64)
    assert capacity.slots("0") is None
    capacity.learn("0", Told(peak_mb=9000), sharing=1)
    assert capacity.slots("0") == 8
    capacity.learn("0", Told(peak_mb=3000), sharing=8)
    assert capacity.slots("0") == 8
    capacity.learn("0", Told(peak_mb=12000), sharing=8)
    assert capacity.slots("0") == 6
    capacity.learn("0", Told(short=True), sharing=6)
    assert capacity.slots("0") == 5
    capacity.learn("0", Told(short=True), sharing=1)  # alone: the trial is too large, not the company
    assert capacity.slots("0") == 5


def test_slots_know_how_many_share_their_card() -> None:
    assert [(s.name, s.gpu, s.sharing) for s in slots(None, ["0", "1"], 2)] == [
        ("gpu0-0", "0", 2), ("gpu1-1", "1", 2), ("gpu0-2", "0", 2), ("gpu1-3", "1", 2),
    ]  # fmt: skip
    assert [s.sharing for s in slots(3, ["0", "1"])] == [2, 1, 2]
    assert [s.sharing for s in slots(2, [])] == [1, 1]


def test_this_machine_s_cards_are_read_or_there_are_none() -> None:
    for gpu in found():
        assert gpu.uuid.startswith("GPU-") and gpu.memory_mb > 0


def test_without_a_card_there_is_nothing_to_wait_for() -> None:
    memory = Memory(None, alone=True)
    memory.look(os.getpid())
    assert (memory.peak_mb, memory.returned(os.getpid())) == (None, None)


HOLDER = """\
import sys
from pathlib import Path
from runner.pool.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(claims.take(["0"]), flush=True)
sys.stdin.read()
"""


def test_a_gpu_is_never_given_to_two_pools(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "['0']\n"
    claims = Claims(tmp_path)
    assert claims.take(["0", "1"]) == ["1"]
    with pytest.raises(UserError) as refused:
        Claims(tmp_path).take(["0", "1"])
    assert str(refused.value) == (
        f"no GPU of this machine is free: GPU 0 trains for process {holder.pid} already; "
        f"GPU 1 trains for process {os.getpid()} already"
    )
    holder.kill()  # however it ends
    holder.communicate()
    assert Claims(tmp_path).take(["0"]) == ["0"]
    assert Claims(tmp_path).take([]) == []


def test_a_lock_is_no_way_to_write_elsewhere(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "0.lock").symlink_to(victim)
    assert Claims(locks).take(["0"]) == ["0"]  # cannot be locked: said, and gone on
    assert victim.read_text() == "mine"


def test_the_folder_of_the_locks_is_made_for_everybody_whatever_the_mask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        Claims(tmp_path / "locks").take(["0"])
    finally:
        os.umask(old)
    assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777


def test_a_folder_that_was_there_stays_as_it_is(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    assert Claims(victim).take(["0"]) == ["0"]
    link = tmp_path / "locks"
    link.symlink_to(victim)
    with pytest.raises(UserError) as refused:
        Claims(link).take(["1"])
    assert str(refused.value) == f"{link}: expected the folder of the GPUs' locks, found a link or a file; remove it"
    assert victim.stat().st_mode & 0o7777 == 0o700
    assert [file.name for file in victim.iterdir()] == ["0.lock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_elses_must_keep_our_locks(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(UserError) as refused:
        Claims(tmp_path).take(["0"])
    assert str(refused.value) == (
        f"{tmp_path}: the folder of the GPUs' locks belongs to user 12345, who may exchange them; "
        "remove it, or have it made safe: chmod 1777"
    )
    tmp_path.chmod(0o1777)
    assert Claims(tmp_path).take(["0"]) == ["0"]


def test_the_pool_hears_what_a_worker_tells() -> None:
    receiver = Receiver()
    told = [Told(peak_mb=812.5), Told(short=True), Told(fault="a full disk: größer")]
    assert receiver.receive() == []
    sender = Sender(os.dup(receiver.descriptor))
    receiver.started()
    for one in told[:2]:
        sender.send(one)
    assert receiver.receive() == told[:2]
    sender.send(told[2])
    assert receiver.receive() == told[2:]
    Sender().send(told[0])  # nobody listens


def test_three_failures_in_the_first_minute_stop_a_worker() -> None:
    breaker = Breaker()
    breaker.begins(100.0)
    assert [breaker.ended("code_error", 0, at) for at in (110.0, 120.0, 159.0)] == [False, False, True]


@pytest.mark.parametrize(
    "ends",
    [
        [("code_error", 0, 110.0), ("code_error", 0, 120.0), ("code_error", 0, 161.0)],  # too late
        [("nan_loss", 0, 101.0), ("nan_loss", 0, 102.0), ("nan_loss", 0, 103.0)],  # the learning rates' fault
        [("code_error", 0, 101.0), (None, 2, 105.0), ("crashed", 0, 106.0), ("code_error", 0, 107.0)],  # it can train
    ],
)
def test_a_machine_that_may_be_sound_goes_on(ends: list[tuple[Failure | None, int, float]]) -> None:
    breaker = Breaker()
    breaker.begins(100.0)
    assert not any(breaker.ended(*end) for end in ends)


def test_the_kernel_says_how_often_it_has_killed() -> None:
    count = oom_kills()
    assert count is None or count >= 0
