"""Checkpoints of trials that nobody goes on from are deleted as trials end."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import ASK, Bench, Figures, data, result, run, train

from runner.protocol import EpochReport, Holdout
from sweeps.access import artifact_store
from sweeps.artifacts import Place
from sweeps.cli import main
from sweeps.confirm.confirm import Confirm, begin
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.housekeeping import Housekeeper
from sweeps.server.registry import Registry
from sweeps.space.problems import SpaceErrors
from sweeps.study.study import Study


def checkpoint(bench: Bench, trial: int, name: str = "last.pth") -> Path:
    path = bench.folder / "work_dirs" / "made_up" / str(trial) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_the_best_and_the_unfinished_keep_theirs(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.study("keep=1") as study:
        registry = Registry()
        registry.add(coordinator := Coordinator(study))
        time = 0.0
        housekeeper = Housekeeper(registry, None, clock=lambda: time)
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
        registry = Registry()
        registry.add(coordinator := Coordinator(study))
        files = [checkpoint(bench, number) for number in range(4)]
        run(coordinator, lambda trial, epoch: 0.5 + trial / 10)
        Housekeeper(registry, None).tidy()
        assert [file.exists() for file in files] == [True, False, False, True]


@pytest.mark.parametrize(("failure", "kept"), [("time_out", True), ("nan_loss", False)])
def test_what_failed_and_would_go_on_keeps_its_own(tmp_path: Path, failure: str, kept: bool) -> None:
    bench = Bench(tmp_path)
    with bench.study() as study, artifact_store.opened(study.store, bench.storage) as artifacts:
        registry = Registry()
        registry.add(coordinator := Coordinator(study))
        lease = coordinator.lease(ASK).lease
        assert lease
        coordinator.report(0, lease.fence, EpochReport(epoch=1, metrics={"segm_mAP": 0.1}))
        file = checkpoint(bench, 0)
        artifacts.add(Place("made_up", 0, "last.pth"), file)
        coordinator.finish(0, lease.fence, result(outcome="failed", failure=failure, reason="it took too long"))
        Housekeeper(registry, artifacts).tidy()
        assert file.exists() is kept
        assert (artifacts.index.find("made_up", 0, "last.pth") is not None) is kept


SEEDS = {"B": [0.585, 0.580, 0.575], "A": [0.620, 0.52, 0.51], "C": [0.600, 0.55, 0.54], "D": [0.590, 0.57, 0.56]}
LRS = dict(zip((0.001, 0.002, 0.003, 0.004), SEEDS, strict=True))
REPEATED = """\
study: made_up
data: demo
scale: tiny
repeats: 3
fixed: {epochs: 1}
search: {lr: [0.001, 0.002, 0.003, 0.004]}
"""


def seeds(study: Study, scores: dict[str, list[float]] = SEEDS) -> Figures:
    """What a trial scores, by its combination and seed."""
    return lambda trial, epoch: scores[LRS[study.row(trial).params["optimizer.lr"]]][study.row(trial).seed]


def repeated(study: Study) -> dict[float, int]:
    """Trains four combinations with three seeds each; score -> trial. B has the best mean, and not the best seed."""
    run(Coordinator(study), seeds(study))
    return {row.score: row.number for row in study.store.trials("made_up") if row.score is not None}


@pytest.mark.parametrize("travels", [False, True])
def test_the_leading_combination_keeps_one_before_better_single_seeds(tmp_path: Path, travels: bool) -> None:
    bench = Bench(tmp_path, REPEATED)
    with bench.study() as study, artifact_store.opened(study.store, bench.storage) as artifacts:
        numbers = repeated(study)
        files = {score: checkpoint(bench, number) for score, number in numbers.items()}
        for number in numbers.values() if travels else ():
            artifacts.add(Place("made_up", number, "last.pth"), files[study.row(number).score or 0.0])
        registry = Registry()
        registry.add(Coordinator(study))
        Housekeeper(registry, artifacts if travels else None).tidy()
        best = {0.585, 0.620, 0.600}
        assert {score for score, file in files.items() if file.exists()} == best
        if not travels:
            return
        held = {one.artifact.trial for one in artifacts.index.held()}
        assert held == {numbers[score] for score in best}
        artifacts.limits.budget = 1
        artifacts.tidy()
        assert [one.artifact.trial for one in artifacts.index.held()] == [numbers[0.585]], "the winner's goes never"


@pytest.mark.parametrize("keep", [1, 3])
def test_who_leads_only_once_others_fall_has_kept_one(tmp_path: Path, keep: int) -> None:
    """Every combination has its second seed before one has its third: means over two may fall."""
    scores = SEEDS | {"C": [0.600, 0.595, 0.50], "D": [0.590, 0.595, 0.50], "A": [0.620, 0.59, 0.50]}
    bench = Bench(tmp_path, REPEATED)
    with bench.study(f"keep={keep}") as study:
        registry = Registry()
        registry.add(coordinator := Coordinator(study))
        housekeeper = Housekeeper(registry, None)
        files = []
        while lease := coordinator.lease(ASK).lease:
            files.append(checkpoint(bench, lease.trial))
            train(coordinator, lease, seeds(study, scores))
            housekeeper.tidy()
        left = [int(file.parent.name) for file in files if file.exists()]
        assert len(left) == keep
        assert {study.row(number).score for number in left} & set(SEEDS["B"])


def test_the_winner_of_a_confirmation_keeps_one(tmp_path: Path) -> None:
    """Further seeds have made it the best, although trials of others have higher scores."""
    bench = Bench(tmp_path)
    with bench.study("keep=1") as study:
        run(Coordinator(study), lambda trial, epoch: [0.5, 0.51, 0.7, 0.6][trial])
    with bench.study("keep=1") as study:
        begin(study, Confirm(top=2, seeds=2))
        run(
            Coordinator(study),
            lambda trial, epoch: 0.3 if study.row(trial).combination == study.row(2).combination else 0.55,
        )
        files = [checkpoint(bench, row.number) for row in study.store.trials("made_up")]
    with bench.study("keep=1") as study:
        registry = Registry()
        registry.add(Coordinator(study))
        Housekeeper(registry, None).tidy()
        assert [file.parent.name for file in files if file.exists()] == ["3"]


def test_an_export_takes_another_seed_where_the_best_ones_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = Bench(tmp_path, REPEATED)
    with bench.study() as study:
        numbers = repeated(study)
    other = checkpoint(bench, numbers[0.575])
    checkpoint(bench, numbers[0.620])
    export = ["best", "--export", "checkpoint", "--storage", bench.storage]
    assert main(export) == 0
    said = capsys.readouterr()
    assert said.out == "best_made_up.pth\n" and Path("best_made_up.pth").read_bytes() == other.read_bytes()
    assert said.err == (
        f"the checkpoint of trial {numbers[0.585]}, the best seed, is gone: this is that of trial {numbers[0.575]}, "
        "another seed of the same combination\n"
    )
    assert main([*export, "--trial", str(numbers[0.585])]) == 1
    assert " is gone; export the config and train again" in capsys.readouterr().err
    other.unlink()
    assert main(export) == 1


def test_so_does_one_from_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bench = Bench(tmp_path, REPEATED)
    with bench.study() as study, artifact_store.opened(study.store, bench.storage) as artifacts:
        numbers = repeated(study)
        artifacts.add(Place("made_up", numbers[0.580], "last.pth"), checkpoint(bench, numbers[0.580]))
        registry = Registry()
        registry.add(Coordinator(study))
        monkeypatch.setenv("SWEEP_TOKEN", "x" * 32)
        with Server(create_app(registry, "x" * 32, None, artifacts)) as server:
            assert main(["best", "--export", "checkpoint", "--server", server.url]) == 0
            assert Path("best_made_up.pth").read_bytes() == b"weights"
            assert main(["best", "--export", "checkpoint", "--server", server.url, "--trial", "0"]) == 1


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_how_many_are_kept_is_a_whole_number(tmp_path: Path, value: str) -> None:
    with pytest.raises(SpaceErrors, match="keep: expected"):
        Bench(tmp_path).space(f"keep={value}")
