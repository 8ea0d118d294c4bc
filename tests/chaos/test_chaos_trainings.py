"""Real trainings under faults: their digits are those of an undisturbed run."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import checks
import pytest
import surroundings
from conductor import conduct
from desk import NUCLEI, small_disk
from postgres import Postgres
from scenes import ORDINARY, mixed, opened, told
from town import Plan, Town, town

from results.records import StudyRecord, TrialRecord
from results.store import Store

TRIALS = 40
SPACE = f"""\
study: chaos
data: {NUCLEI}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: 2, image_size: 64, batch_size: 2}}
search: {{lr: [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005], seed: [0, 1, 2, 3, 4]}}
budget: {{trials: {TRIALS}}}
"""
_DISK = 1200  # megabytes: a checkpoint of each trial


def figures(town: Town) -> dict[tuple[str, int], list[dict[str, float | None]]]:
    """Every epoch's figures by combination and seed, as the store has them."""
    with Store.open(town.plan.storage, readonly=True) as store:
        rows = store.trials("chaos")
        return {(row.combination, row.seed): [e.metrics for e in store.epochs("chaos", row.number)] for row in rows}


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_forty_trainings_keep_their_digits(tmp_path: Path, postgres: Postgres) -> None:
    draw = random.Random(22)
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    for folder in (calm, wild):
        folder.mkdir()
    with town(Plan(calm, f"sqlite:///{calm}/sweeps.db", calm / "work", workers=2, script="counted_worker.py")) as place:
        opened(place, SPACE)
        outcome = conduct(place, "chaos", TRIALS, [], draw, deadline=3000)
        undisturbed = figures(place)
        assert len(undisturbed) == TRIALS and not outcome.ends and not outcome.orphans
        told("undisturbed", outcome, {})
    kinds = [*ORDINARY, surroundings.restart_database, surroundings.fill_work_dir]
    with contextlib.ExitStack() as stack:
        work_dir = stack.enter_context(small_disk(wild / "work", _DISK))
        plan = Plan(wild, postgres.database(), work_dir, postgres, 2, "counted_worker.py", clock=True)
        place = stack.enter_context(town(plan))
        kinds += [surroundings.jump_clock] if place.clocks else []
        opened(place, SPACE)
        outcome = conduct(place, "chaos", TRIALS, mixed(draw, kinds, 24), draw, deadline=3000)

        def expected(_: StudyRecord, row: TrialRecord) -> list[dict[str, float | None]]:
            return undisturbed[row.combination, row.seed]

        told("forty trainings", outcome, checks.everything(place, outcome, "chaos", TRIALS, expected))
