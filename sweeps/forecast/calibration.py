"""Short measurements for `sweep plan`: which are needed, and where they are kept.

Each searched part is varied on its own around the space's first combination, so that a space of many combinations
needs few. They are kept in the user's cache folder by machine, data and combination.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import queue
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from runner.machine import Slot
from runner.paths import cached, replace_with
from runner.protocol import Combination, DataPaths, Lease, Scalar, Scale, digest
from runner.share import share_of, shared
from runner.training.timing import Answer, Timer
from sweeps.forecast.forecast import COUNTED, Forecast, Levels, Point, levels
from sweeps.space.exclusion import Assignment, first_allowed, forbidden
from sweeps.space.resolve import resolve
from sweeps.space.schema import FloatRange, Form, IntRange, SearchSpace
from sweeps.space.walk import Given, assignments, count, suggest, values

_VARIED = (
    "model", "backbone", "augmentation", "optimizer", "image_size", "batch_size", "accumulate", "amp", "ema",
    "train_share",
)  # fmt: skip
_VERSION = 4  # rises when an epoch is put together in another way
_FEW = 4  # numbers of a range that are all measured
_STEPS = 4  # between the ends of a range of shares; each one that was not measured is named
_SAMPLE = 500  # combinations whose mean stands for a larger space
Tell = Callable[[str], None]


class Kept:
    """Measurements in a file of the cache folder; a broken or missing file is an empty one.

    Args:
        data: their hash is part of what a measurement is known by, as are scale and machine.
    """

    def __init__(self, scale: Scale, data: DataPaths, device: str, threads: int) -> None:
        self._about = {"version": _VERSION, "scale": scale, "data": data.hash, "device": device, "threads": threads}
        self._path = platformdirs.user_cache_path("sweep") / "measured" / f"{digest(self._about)[:16]}.json"

    def points(self) -> list[Point]:
        """All of them."""
        return [
            Point(one["levels"], one["seconds"], datetime.fromisoformat(one["at"])) for one in self._read().values()
        ]

    def add(self, point: Point) -> None:
        """Keeps one, in place of an older one of the same."""
        kept = self._read()
        name = digest(dict(point.levels))[:16]
        kept[name] = {"levels": dict(point.levels), "seconds": point.seconds, "at": point.at.isoformat()}
        with cached(self._path.parent):
            replace_with(self._path, json.dumps({"about": self._about, "measured": kept}, ensure_ascii=False, indent=1))

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8"))["measured"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def wanted(space: SearchSpace, scale: Scale, n_train: int) -> Iterator[Combination]:
    """The combinations to measure: the first one, then each other choice of one part or setting.

    Of a range of whole numbers both ends, or all if they are few; of one of shares both ends.
    """
    choices = {key: _choices(key, form) for key, form in space.search.items() if key in _VARIED}
    rows: list[Assignment] = [{}, *({key: label} for key, labels in choices.items() for label in labels[1:])]
    for row in rows:
        chosen = first_allowed(space, {key: [label] for key, label in row.items()})
        if chosen is not None:
            yield resolve(space, suggest(space, Given({**chosen, **row})), scale, n_train)[0]


def _choices(key: str, form: Form) -> Sequence[Scalar]:
    if isinstance(form, FloatRange):
        return (form.low, form.high) if key in COUNTED else ()
    every = values(form)
    return (form.low, form.high) if isinstance(form, IntRange) and not 0 < len(every or ()) <= _FEW else every or ()


def measure(
    spaces: Sequence[SearchSpace], scale: Scale, data: DataPaths, detections: int, slots: Sequence[Slot],
    known: Sequence[Point], kept: Kept, tell: Tell,
) -> dict[str, str]:  # fmt: skip
    """Measures what is wanted and not known yet, and keeps it.

    Args:
        spaces: what is measured for one of them is known for those after it.
        slots: the places that trainings would have; all of them are busy while one is measured, as they would be.
        known: what was measured already.
        kept: takes what is measured.
        tell: takes a line for each measurement.

    Returns:
        What could not be measured, such as ``model htc``, and why.
    """
    points = [*known]
    missing = list(_missing(spaces, scale, data.n_train, known))
    failed: list[tuple[Levels, str]] = []
    leases = [_lease(space, scale, data, detections, combination) for space, combination in missing]
    with contextlib.ExitStack() as stack:
        crew = stack.enter_context(ThreadPoolExecutor(len(slots)))
        free = queue.SimpleQueue[Timer]()
        for slot in slots:
            free.put(stack.enter_context(Timer(slot)))
        stack.callback(crew.shutdown, wait=False, cancel_futures=True)  # Ctrl-C: nothing else begins, then timers end
        answers = crew.map(lambda lease: _timed(lease, free), leases)
        for number, ((_, combination), answer) in enumerate(zip(missing, answers, strict=True), start=1):
            names = " ".join(levels(combination)[part] for part in ("model", "backbone", "augmentation", "optimizer"))
            tell(f"measuring {number} of {len(missing)}: {names}: {_line(answer)}")
            if answer.error is not None:
                failed.append((levels(combination), answer.error))
                continue
            points.append(Point(levels(combination), epoch_seconds(answer, combination, data), datetime.now(UTC)))
            kept.add(points[-1])
    found = Forecast(points)
    return {what: error for one, error in failed for what in found.missing(one, exact=True)}


def _missing(
    spaces: Sequence[SearchSpace], scale: Scale, n_train: int, known: Sequence[Point]
) -> Iterator[tuple[SearchSpace, Combination]]:
    """What is wanted for each space, as far as neither `known` nor what is measured for those before tells it.

    A space that searches on with another first choice needs that one, and not all the others around it anew.
    """
    there = {level for point in known for level in point.levels.items()}
    for space in spaces:
        rows = [(one, levels(one)) for one in wanted(space, scale, n_train)]
        first = {level for _, found in rows[:1] for level in found.items() if level[0] in space.search}
        new = [row for n, row in enumerate(rows) if not row[1].items() <= (there | first if n else there)]
        yield from ((space, one) for one, _ in new)
        there |= {level for _, found in new for level in found.items()}


def _timed(lease: Lease, free: queue.SimpleQueue[Timer]) -> Answer:
    timer = free.get()
    try:
        return timer.time(lease)
    finally:
        free.put(timer)


def epoch_seconds(answer: Answer, combination: Combination, data: DataPaths) -> float:
    """Seconds of an epoch: its iterations, its validation images, what comes with it, and its share of the start."""
    images = shared(data.n_train, share_of(combination))
    iterations = math.ceil(images / int(combination.settings["batch_size"]))
    besides = answer.epoch + answer.start / int(combination.settings["epochs"])
    return answer.iteration * iterations + answer.image * data.n_val + besides


def mean_seconds(space: SearchSpace, scale: Scale, n_train: int, forecast: Forecast) -> tuple[float | None, list[str]]:
    """(mean seconds of a trial of the space, what was never measured); without the one there is the other.

    A space of very many combinations is judged by some of them, drawn at random.
    """
    total, number, missing = 0.0, 0, dict[str, None]()
    for assignment in _some(space):
        combination, _ = resolve(space, assignment, scale, n_train)
        found = levels(combination)
        missing |= dict.fromkeys(forecast.missing(found))
        total += (forecast.seconds(found) or 0.0) * combination.settings["epochs"]
        number += 1
    return (None if missing or not number else total / number), list(missing)


def _some(space: SearchSpace) -> Iterator[Assignment]:
    size = count(space)
    if size is not None and size <= _SAMPLE:
        yield from assignments(space)
        return
    lots = _Lots(random.Random(0))
    drawn = (suggest(space, lots) for _ in range(20 * _SAMPLE))
    yield from itertools.islice((one for one in drawn if not forbidden(space, one)), _SAMPLE)


class _Lots:
    """Answers a space's questions at random; of numbers that move no seconds the low end will do."""

    def __init__(self, lots: random.Random) -> None:
        self._lots = lots

    def categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of them."""
        return self._lots.choice(choices)

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        """One of a few between the ends of what moves seconds, else the low end."""
        if name not in COUNTED:
            return low
        part = self._lots.randrange(_STEPS + 1) / _STEPS
        return min(high, low * (high / low) ** part if log else low + (high - low) * part)

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        """Any, for epochs and batch sizes are such."""
        return self._lots.randrange(low, high + 1, step)


def _lease(space: SearchSpace, scale: Scale, data: DataPaths, detections: int, combination: Combination) -> Lease:
    return Lease(
        study="measure", trial=0, fence=1, combination=combination, seed=0, scale=scale, data=data,
        objective=space.objective, detections=detections, work_dir=str(Path.cwd()), plugins=space.plugins,
    )  # fmt: skip


def _line(answer: Answer) -> str:
    if answer.error:
        return f"not measured: {answer.error}"
    besides = f"{answer.epoch:.1f} s an epoch besides, {answer.start:.1f} s to start"
    return f"{answer.iteration:.3f} s an iteration, {answer.image:.3f} s a validation image, {besides}"
