"""Workers of the load benchmark: threads, spread over processes, that ask, report and end, and time each call."""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Load:
    """How much is asked.

    Attributes:
        workers: at once, in so many processes.
        reports: a trial.
    """

    workers: int
    processes: int
    trials: int
    reports: int


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        seconds: by the clock, from the first ask to the last end.
        times: ask, report, end: seconds of each call, ascending.
        rss: MiB of the serving process at its highest; None where there is none.
        cpu: seconds of processor time of the serving process; it says more than the clock on a busy machine.
        errors: calls that failed.
        wrong: trials that are not complete with all their reports, exactly once.
    """

    way: str
    trials: int
    seconds: float
    times: dict[str, list[float]] = field(repr=False)
    rss: float | None = None
    cpu: float | None = None
    errors: int = 0
    wrong: int = 0

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.trials / self.seconds

    def time(self, what: str, share: float) -> float:
        """The time within which that share of the calls was answered."""
        times = self.times[what]
        return times[min(len(times) - 1, int(share * len(times)))]


class Timer:
    """Times calls of one worker."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {"ask": [], "report": [], "end": []}
        self.errors: list[str] = []

    def __call__(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """Makes the call."""
        begun = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            self.times[what].append(time.perf_counter() - begun)


Work = Callable[[Timer, random.Random, Any, int], None]  # (timer, random numbers, what it is told, worker's number)


def crew(load: Load, work: Work, told: Any) -> tuple[float, dict[str, list[float]], list[str]]:
    """Lets all workers work until they return: seconds, times, errors.

    Args:
        work: of one worker; a function of a module, for it travels to another process.
        told: what it is told; travels as well.
    """
    context = multiprocessing.get_context("spawn")
    answers, ready = context.Queue(), context.Barrier(load.processes + 1)
    members = [list(range(load.workers))[n :: load.processes] for n in range(load.processes)]
    processes = [context.Process(target=_team, args=(m, work, told, ready, answers)) for m in members]
    for process in processes:
        process.start()
    ready.wait()
    begun = time.perf_counter()
    found = [answers.get() for _ in processes]
    seconds = time.perf_counter() - begun
    for process in processes:
        process.join()
    times = {what: sorted(t for one, _ in found for t in one[what]) for what in ("ask", "report", "end")}
    return seconds, times, [error for _, errors in found for error in errors]


def _team(members: list[int], work: Work, told: Any, ready: Any, answers: Any) -> None:
    timers = {member: Timer() for member in members}

    def one(member: int) -> None:
        try:
            work(timers[member], random.Random(member), told, member)
        except Exception as error:  # noqa: BLE001  whatever it is, it counts
            timers[member].errors.append(f"{type(error).__name__}: {error}"[:300])

    threads = [threading.Thread(target=one, args=(member,)) for member in members]
    ready.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = {what: [t for timer in timers.values() for t in timer.times[what]] for what in ("ask", "report", "end")}
    answers.put((times, [error for timer in timers.values() for error in timer.errors]))
