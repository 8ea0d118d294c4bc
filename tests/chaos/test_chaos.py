"""Faults at random moments: every trial ends once, nothing is lost, nothing is trained twice without a reason."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import checks
import faults
import pytest
import standin
import surroundings
from conductor import conduct
from desk import NUCLEI, small_disk
from postgres import Postgres
from scenes import ORDINARY, mixed, opened, told
from town import Plan, town

from results.records import StudyRecord, TrialRecord
from runner.protocol import Combination, DataPaths, Lease, Objective

SPACE = f"""\
study: chaos
data: {NUCLEI}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: 3}}
search: {{lr: {{float: [0.00001, 0.1], log: true}}}}
sampler: {{kind: random, seed: 7}}
budget: {{trials: TRIALS}}
"""


def figures(record: StudyRecord, row: TrialRecord) -> list[dict[str, float | None]]:
    """The stand-in's figures of an undisturbed training."""
    lease = Lease(
        study=record.name, trial=row.number, fence=0, combination=Combination.model_validate(row.parts), seed=row.seed,
        scale="tiny", data=DataPaths.model_validate(record.data), objective=Objective(), detections=record.detections,
        work_dir="",
    )  # fmt: skip
    return standin.undisturbed(lease.training(), row.epochs)


def test_sixty_trials_survive_fifteen_faults(tmp_path: Path) -> None:
    draw, kinds = random.Random(20), list(ORDINARY)
    with contextlib.ExitStack() as stack:
        try:
            work_dir = stack.enter_context(small_disk(tmp_path / "work", 24))
            database = stack.enter_context(small_disk(tmp_path / "database", 24))
            kinds += [surroundings.fill_work_dir, surroundings.fill_database_disk]
        except pytest.skip.Exception:  # nobody may mount a disk here: the other faults remain
            work_dir, database = tmp_path / "work", tmp_path
        plan = Plan(tmp_path, f"sqlite:///{database / 'sweeps.db'}", work_dir, workers=3, clock=True)
        place = stack.enter_context(town(plan))
        kinds += [surroundings.jump_clock] if place.clocks else []
        opened(place, SPACE.replace("TRIALS", "60"))
        outcome = conduct(place, "chaos", 60, mixed(draw, kinds, 15), draw, deadline=300)
        told("sixty trials", outcome, checks.everything(place, outcome, "chaos", 60, figures))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_that_share_no_disk_survive_thirty_faults(tmp_path: Path, postgres: Postgres) -> None:
    draw = random.Random(23)
    with contextlib.ExitStack() as stack:
        server, workers = (stack.enter_context(small_disk(tmp_path / name, 100)) for name in ("server", "workers"))
        plan = Plan(tmp_path, postgres.database(), server, postgres, 3, clock=True, apart=workers)
        place = stack.enter_context(town(plan))
        kinds = [*ORDINARY, surroundings.restart_database, surroundings.fill_work_dir, surroundings.fill_server_disk]
        data = shutil.copytree(NUCLEI.parent, tmp_path / "data")
        opened(place, SPACE.replace("TRIALS", "150").replace(str(NUCLEI), str(data / "data.yaml")))
        shutil.rmtree(data)  # label files come from the server now, images lie elsewhere for workers
        outcome = conduct(place, "chaos", 150, mixed(draw, kinds, 30), draw, deadline=1500)
        told("disks of their own", outcome, checks.everything(place, outcome, "chaos", 150, figures))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_trials_survive_a_hundred_faults(tmp_path: Path, postgres: Postgres) -> None:
    draw, kinds = random.Random(21), [*ORDINARY, surroundings.restart_database, surroundings.disconnect_database]
    with contextlib.ExitStack() as stack:
        work_dir = stack.enter_context(small_disk(tmp_path / "work", 400))
        plan = Plan(tmp_path, postgres.database(), work_dir, postgres, workers=4, clock=True)
        place = stack.enter_context(town(plan))
        kinds += [surroundings.fill_work_dir, *([surroundings.jump_clock] if place.clocks else [])]
        opened(place, SPACE.replace("TRIALS", "2000"))
        some = [*mixed(draw, kinds, 97), *[faults.suspend_worker] * 3]
        draw.shuffle(some)
        outcome = conduct(place, "chaos", 2000, some, draw, deadline=3000)
        told("two thousand trials", outcome, checks.everything(place, outcome, "chaos", 2000, figures))
