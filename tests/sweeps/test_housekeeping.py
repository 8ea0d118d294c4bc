"""Checkpoints of trials that nobody goes on from are deleted as trials end."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import ASK, Bench, data, result, run, train

from runner.protocol import EpochReport, Holdout
from sweeps.leases.coordinator import Coordinator
from sweeps.server.hall import Hall
from sweeps.server.housekeeping import Housekeeper
from sweeps.space.problems import SpaceErrors


def checkpoint(bench: Bench, trial: int, name: str = "last.pth") -> Path:
    path = bench.folder / "work_dirs" / "made_up" / str(trial) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_the_best_and_the_unfinished_keep_theirs(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.study("keep=1") as study:
        hall = Hall()
        hall.add(coordinator := Coordinator(study))
        time = 0.0
        housekeeper = Housekeeper(hall, None, clock=lambda: time)
        files = [checkpoint(bench, number) for number in range(4)]
        config = files[0].with_name("config.py")
        config.write_text("model = {}\n")
        for number, score in ((0, 0.5), (1, 0.7)):
            lease = coordinator.lease(ASK).lease
            assert lease and lease.trial == number
            train(coordinator, lease, lambda trial, epoch, score=score: score)
        failing = coordinator.lease(ASK).lease
        assert failing
        coordinator.finish(2, failing.fence, result(outcome="failed", failure="nan_loss", reason="the loss is nan"))
        running = coordinator.lease(ASK).lease
        assert running
        coordinator.report(3, running.fence, EpochReport(epoch=1, metrics={"segm_mAP": 0.1}))
        housekeeper.tick()
        assert all(file.exists() for file in files), "it looks every few seconds"
        time = 6.0
        housekeeper.tick()
        assert [file.exists() for file in files] == [False, True, False, True]
        assert config.exists()
        again = checkpoint(bench, 0)
        time = 12.0
        housekeeper.tick()
        assert again.exists(), "nothing has ended since"


def test_where_images_are_held_out_the_baseline_keeps_its_own(tmp_path: Path) -> None:
    """It will be scored there beside the best."""
    held = Holdout(images="/images", annotations="/labels.json", count=3, check="ab" * 32)
    bench = Bench(tmp_path, data=data().model_copy(update={"holdout": held}))
    with bench.study("keep=1") as study:
        hall = Hall()
        hall.add(coordinator := Coordinator(study))
        files = [checkpoint(bench, number) for number in range(4)]
        run(coordinator, lambda trial, epoch: 0.5 + trial / 10)
        Housekeeper(hall, None).tidy()
        assert [file.exists() for file in files] == [True, False, False, True]


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_how_many_are_kept_is_a_whole_number(tmp_path: Path, value: str) -> None:
    with pytest.raises(SpaceErrors, match="keep: expected"):
        Bench(tmp_path).space(f"keep={value}")
