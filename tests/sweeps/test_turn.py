"""The coordinator's lock: re-entrant, exclusive, and first come, first served."""

from __future__ import annotations

import ctypes
import threading
import time

import pytest

from sweeps.leases.turn import FairLock


def waits(lock: FairLock, many: int) -> None:
    """Returns once so many threads wait."""
    while len(lock._waiting) < many:
        time.sleep(0.001)


def test_threads_enter_in_the_order_in_which_they_came() -> None:
    lock, entered = FairLock(), list[int]()

    def enter(number: int) -> None:
        with lock:
            entered.append(number)

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(20)]
    with lock:
        for number, thread in enumerate(threads):
            thread.start()
            waits(lock, number + 1)
        with lock:  # its own thread need not wait
            assert entered == []
        assert entered == []
    for thread in threads:
        thread.join()
    assert entered == list(range(20))


def test_one_at_a_time() -> None:
    lock, inside, most = FairLock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(300):
            with lock, lock:
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and not lock._waiting and lock._owner is None


def test_an_error_inside_lets_the_next_one_in() -> None:
    lock = FairLock()
    with pytest.raises(ValueError), lock:
        raise ValueError
    with lock:
        pass


def test_nobody_waits_for_who_gave_up_waiting() -> None:
    """Ctrl-C while it waits: here raised in the thread as soon as it has the lock."""
    lock, ends = FairLock(), list[str]()

    def wait() -> None:
        try:
            with lock:
                ends.append("entered")
        except KeyboardInterrupt:
            ends.append("gave up")

    first, second = threading.Thread(target=wait), threading.Thread(target=wait)
    with lock:
        first.start()
        waits(lock, 1)
        second.start()
        waits(lock, 2)
        ident = ctypes.c_ulong(first.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(KeyboardInterrupt))
    first.join()
    second.join()
    assert ends[-1] == "entered" and ends[0] in ("gave up", "entered")
    assert lock._owner is None and not lock._waiting
