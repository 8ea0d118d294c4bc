"""Whether the kernel's out-of-memory killer struck: the one who was killed can't tell."""

from __future__ import annotations

import signal
from pathlib import Path

from runner.protocol import Failure

_ROOT = Path("/sys/fs/cgroup")


def oom_kills() -> int | None:
    """How many processes of this one's control group the kernel has killed for want of memory, None if unknown.

    A number that has grown while a process died by SIGKILL says why it died; with several trainings in one group it
    may have been another's. Where no group counts, the whole machine's number is taken.
    Source: Linux's cgroup-v2.rst (memory.events), cgroup-v1/memory.rst (memory.oom_control), proc_vmstat(5).
    """
    for file in [*_groups(), Path("/proc/vmstat")]:
        try:
            lines = file.read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def death(exitcode: int | None, kills_before: int | None) -> tuple[Failure, str]:
    """What a process died of that said nothing.

    Args:
        exitcode: minus the signal's number, if one killed it.
        kills_before: `oom_kills` when it began.
    """
    if exitcode == -signal.SIGKILL and oom_kills() != kills_before:
        return "out_of_memory", "out of memory: the kernel killed the trainer"
    if exitcode is not None and exitcode < 0:
        return "crashed", f"the trainer was killed by {signal.Signals(-exitcode).name}"
    return "crashed", f"the trainer ended with exit code {exitcode}"


def _groups() -> list[Path]:
    """The files that may hold the number, the most exact first."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2; in a container the path is the host's or "/"
            found += [_ROOT / path.lstrip("/") / "memory.events", _ROOT / "memory.events"]
        elif "memory" in controllers.split(","):
            memory = _ROOT / "memory"
            found += [memory / path.lstrip("/") / "memory.oom_control", memory / "memory.oom_control"]
    return found
