"""Processes that end with their parent, however it died."""

from __future__ import annotations

import ctypes
import os
import signal
from multiprocessing import forkserver

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


def detach() -> None:
    """Makes a trainer of this child: own process group, ends with its worker; Ctrl-C is the worker's business."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(os.getppid())
    # The fork server lives as long as anyone holds this descriptor. We must not: it has to see the worker's end,
    # so that its own end reaches us through the kernel.
    descriptor = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]
    if descriptor is not None:
        os.close(descriptor)
        forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]
