"""The status document is the same whether it is made from a few trials or from the whole ranking."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from made_up import ASK, Bench, result, run

from results.ranking.confirmation import pick
from results.ranking.ranking import rank
from sweeps.cli import main
from sweeps.confirm.confirm import Confirm, begin
from sweeps.leases.coordinator import Coordinator
from sweeps.leases.status import document, shown


def test_the_best_row_is_that_of_the_ranking(tmp_path: Path) -> None:
    with Bench(tmp_path).study() as study:
        coordinator = Coordinator(study)
        assert coordinator.status()["best"] is None
        scores = {0: 0.25, 1: 0.5, 2: 0.5, 3: 0.125}
        run(coordinator, lambda trial, epoch: scores[trial], trials=3)
        lease = coordinator.lease(ASK).lease
        assert lease
        coordinator.finish(lease.trial, lease.fence, result(outcome="failed", failure="nan_loss", reason="NaN"))
        found = document(study.store, study.record, "running", [{}, {}], 6)
        whole = rank(study.record, study.store.trials("made_up"))
        assert whole.best and found["best"] == whole.best.document()
        assert (found["best"]["trial"], found["best"]["rank"], found["best"]["delta_baseline"]) == (1, 1, 0.25)
        assert found["trials"] == study.store.counts("made_up")
        assert found["eta_seconds"] == 6 * 60.0 / 2


def test_status_and_rank_name_the_best_that_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The highest single run is trial 1, the best mean is the baseline's, trial 2 is the best of those confirmed."""
    scores = [0.50, 0.60, 0.58, 0.10, 0.30, 0.50, 0.59]
    bench = Bench(tmp_path)
    with bench.study() as study:
        run(Coordinator(study), lambda trial, epoch: scores[trial])
        begin(study, Confirm(top=2, seeds=1))
        run(Coordinator(study), lambda trial, epoch: scores[trial])
        study.store.touch_study("made_up", state="finished")
        whole = rank(study.record, study.store.trials("made_up"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    assert main(["best", "--export", "params"]) == 0
    assert json.loads(capsys.readouterr().out)["trial"] == 2
    assert main(["status", "--format", "json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert best == next(row.document() for row in whole.rows if row.trial == 2)
    assert (best["rank"], best["mean"], best["seeds"]) == (3, pytest.approx(0.54), 2)
    assert main(["status"]) == 0
    assert "best     0.5400000000 (mean of 2 seeds; trial 2)  solov2" in capsys.readouterr().out
    line = "confirmed: solov2, lr 0.001, mean 0.5400000000 of 2 seeds; sweep best exports its best seed, trial 2"
    assert main(["rank"]) == 0
    assert line in capsys.readouterr().out.splitlines()
    assert main(["rank", "--format", "json"]) == 0
    ranking = json.loads(capsys.readouterr().out)
    assert ranking["confirmed"] == best["combination"] != ranking["combinations"][0]["combination"]


def test_what_was_trained_is_said_of_a_trial_that_ran_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bench(tmp_path).study("fixed.batch_size=4") as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        failed = result(outcome="failed", failure="out_of_memory", reason="out of memory")
        coordinator.finish(lease.trial, lease.fence, failed)
        run(coordinator, lambda trial, epoch: 0.5 - trial / 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    adjusted = {"batch_size": 2, "accumulate": 2}

    def said(*command: str) -> str:
        assert main(list(command)) == 0
        return capsys.readouterr().out

    line = "trial 0 ran out of memory with batch_size 4 and trained with 2, accumulated 2"
    assert line in said("rank").splitlines() and line in said("rank", "--format", "markdown")
    rows = json.loads(said("rank", "--format", "json"))["rows"]
    assert [row["adjusted"] for row in rows] == [adjusted, None, None, None]
    cells = [row["adjusted"] for row in csv.DictReader(io.StringIO(said("rank", "--format", "csv")))]
    assert cells == ["batch_size 2, accumulate 2", "", "", ""]
    best = json.loads(said("best", "--export", "params"))
    assert best["trial"] == 0 and best["parts"]["settings"].items() >= adjusted.items()
    shown = said("trials", "show", "0").splitlines()
    assert "adjusted     batch_size 2 (proposed: 4), accumulate 2 (proposed: 1)" in shown
    settings = next(one for one in shown if one.startswith("settings"))
    assert "batch_size 2," in settings and "accumulate 2," in settings


def test_without_a_confirmation_the_best_is_the_one_with_the_best_mean(tmp_path: Path) -> None:
    scores = [0.50, 0.52, 0.70, 0.20, 0.55, 0.55, 0.10, 0.10]
    with Bench(tmp_path).study("repeats=2") as study:
        coordinator = Coordinator(study)
        run(coordinator, lambda trial, epoch: scores[trial])
        best = coordinator.status()["best"]
        rows = study.store.trials("made_up")
        assert best["trial"] == pick(rows)[0].number == 5
        assert best["rank"] == 2 and shown(best) == "0.5350000000 (mean of 2 seeds; trial 5)"
