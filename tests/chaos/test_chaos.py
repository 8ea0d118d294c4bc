"""Faults at random moments: every trial ends once, nothing is lost, nothing is trained twice without a reason."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Sequence
from pathlib import Path

import checks
import faults
import pytest
import standin
from conductor import Outcome, conduct
from desk import NUCLEI, small_disk
from postgres import Postgres
from town import Plan, Town, town

from results.records import StudyRecord, TrialRecord
from runner.protocol import Combination, DataPaths, Lease, Objective

SPACE = """\
study: chaos
data: {data}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: {epochs}}}
search: {{lr: {{float: [0.00001, 0.1], log: true}}}}
sampler: {{kind: random, seed: 7}}
budget: {{trials: {trials}}}
"""

ORDINARY: list[faults.Kind] = [
    faults.kill_trainer, faults.kill_worker, faults.kill_server, faults.cut_message, faults.cut_network,
    faults.stop_trainer, faults.stop_worker, faults.stop_server, faults.silence_network, faults.delay_network,
    faults.lock_database,
]  # fmt: skip


def figures(record: StudyRecord, row: TrialRecord) -> list[dict[str, float | None]]:
    """The stand-in's figures of an undisturbed training."""
    lease = Lease(
        study=record.name, trial=row.number, fence=0, combination=Combination.model_validate(row.parts), seed=row.seed,
        scale="tiny", data=DataPaths.model_validate(record.data), objective=Objective(), detections=record.detections,
        work_dir="",
    )  # fmt: skip
    return standin.undisturbed(lease.training(), row.epochs)


def opened(place: Town, folder: Path, trials: int, epochs: int) -> None:
    """The study, at the town's server."""
    path = folder / "space.yaml"
    path.write_text(SPACE.format(data=NUCLEI, trials=trials, epochs=epochs))
    place.server.tend()
    deadline = time.monotonic() + 60
    while place.ask("/health") is None:
        assert time.monotonic() < deadline, place.server.log.read_text()
        time.sleep(0.1)
    place.submit(path)


def told(name: str, outcome: Outcome, counts: dict[str, int]) -> None:
    """What happened, for whoever reads the test's output."""
    print(f"\n{name}: {len(outcome.faults)} faults in {outcome.seconds:.0f} s")
    for what, number in [*sorted(outcome.kinds().items()), *sorted(counts.items())]:
        print(f"  {number:5} {what}")


def mixed(draw: random.Random, kinds: Sequence[faults.Kind], count: int) -> list[faults.Kind]:
    """So many faults, each kind about as often, in random order."""
    found = [kinds[i % len(kinds)] for i in range(count)]
    draw.shuffle(found)
    return found


def test_sixty_trials_survive_fifteen_faults(tmp_path: Path) -> None:
    draw, kinds = random.Random(20), list(ORDINARY)
    with contextlib.ExitStack() as stack:
        try:
            work_dir = stack.enter_context(small_disk(tmp_path / "work", 24))
            database = stack.enter_context(small_disk(tmp_path / "database", 24))
            kinds += [faults.fill_work_dir, faults.fill_database_disk]
        except pytest.skip.Exception:  # nobody may mount a disk here: the other faults remain
            work_dir, database = tmp_path / "work", tmp_path
        plan = Plan(tmp_path, f"sqlite:///{database / 'sweeps.db'}", work_dir, workers=3, clock=True)
        place = stack.enter_context(town(plan))
        kinds += [faults.jump_clock] if place.clocks else []
        opened(place, tmp_path, 60, 3)
        outcome = conduct(place, "chaos", 60, mixed(draw, kinds, 15), draw, deadline=300)
        told("sixty trials", outcome, checks.everything(place, outcome, "chaos", 60, figures))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_trials_survive_a_hundred_faults(tmp_path: Path, postgres: Postgres) -> None:
    draw, kinds = random.Random(21), [*ORDINARY, faults.restart_database, faults.disconnect_database]
    with contextlib.ExitStack() as stack:
        work_dir = stack.enter_context(small_disk(tmp_path / "work", 400))
        plan = Plan(tmp_path, postgres.database(), work_dir, postgres, workers=4, clock=True)
        place = stack.enter_context(town(plan))
        kinds += [faults.fill_work_dir, *([faults.jump_clock] if place.clocks else [])]
        opened(place, tmp_path, 2000, 3)
        some = [*mixed(draw, kinds, 97), *[faults.suspend_worker] * 3]
        draw.shuffle(some)
        outcome = conduct(place, "chaos", 2000, some, draw, deadline=3000)
        told("two thousand trials", outcome, checks.everything(place, outcome, "chaos", 2000, figures))
