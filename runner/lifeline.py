"""Processes that end with their parent, however it died, or with whoever speaks for them."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from multiprocessing import forkserver
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when its parent ends; at once if `parent` is gone already.

    A SIGKILLed parent can tell nobody, and a stopped child runs no handler: only the kernel sees both.
    Linux only. Source: prctl(2).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def stands(pid: int | None) -> bool:
    """Whether a process is stopped by a signal."""
    return _state(pid) == "T"


def _state(pid: int | None) -> str:
    """Of a process, as in proc_pid_stat(5); Z where there is none (any more)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def end_without(pid: int, seconds: float, look: float = 1.0) -> None:
    """Kills this process group once process `pid` has ended, or was stopped by a signal for `seconds` without a break.

    A stopped worker renews nothing: when its lease has run out, another one trains in the same folder. One that ended
    while this process was itself stopped, before it could ask the kernel for anything, is missed by `die_with_parent`.
    """

    def check(since: float) -> float:
        """Since when it is stopped, if it is."""
        state, now = _state(pid), time.monotonic()
        if state == "Z" or (state == "T" and now - since >= seconds):
            os.killpg(os.getpgrp(), signal.SIGKILL)
        return since if state == "T" else now

    def watch() -> None:
        since = time.monotonic()
        while True:
            time.sleep(look)
            since = check(since)

    check(time.monotonic())
    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def detach() -> None:
    """Makes a trainer of this child: own process group, ends with the worker; signals that end a run are the worker's.

    To be called first, from the fork server's child.
    """
    os.setpgrp()
    for number in (signal.SIGINT, signal.SIGTERM):  # a scheduler sends them to every process at once
        signal.signal(number, signal.SIG_IGN)
    die_with_parent(os.getppid())
    # The fork server lives as long as anyone holds this descriptor. We must not: it has to see the worker's end,
    # so that its own end reaches us through the kernel.
    descriptor = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]
    if descriptor is not None:
        os.close(descriptor)
        forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]
