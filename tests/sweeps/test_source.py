"""Orders on a database that no process owns: one is started for the moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import ASK, Bench, run

from runner.protocol import EpochReport
from sweeps import runfile
from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator


def test_an_order_leaves_trainings_alone_and_writes_nothing_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers of a team's server that is being upgraded still train."""
    bench = Bench(tmp_path)
    with bench.study() as study:
        assert study.ask() == 0
        study.lease(0, 1, ASK.worker, ASK.owner, ASK.device)
        study.report(0, EpochReport(epoch=1, metrics={"segm_mAP": 0.5}))
    stand = tmp_path / "elsewhere"
    stand.mkdir()
    monkeypatch.chdir(stand)
    assert main(["pause", "--storage", bench.storage]) == 0
    assert capsys.readouterr().out.startswith("study made_up is paused")
    assert list(stand.iterdir()) == []
    with bench.study(workers_survive=True) as study:
        row = study.row(0)
        assert (row.state, row.worker, row.fence) == ("running", ASK.worker, 1)
        assert study.store.attempts("made_up", 0)[0].ended_at is None


def test_a_study_that_is_finished_stays_so_when_it_is_resumed_or_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path)
    with bench.study() as study:
        run(Coordinator(study))
        study.set_state("finished", "everything was tried")
    monkeypatch.chdir(tmp_path)
    assert main(["resume"]) == 0
    capsys.readouterr()
    assert main(["status"]) == 0
    assert capsys.readouterr().out.startswith("study    made_up: finished")
    before = bench.dump()
    assert main(["pause"]) == 1
    line = "sweep: study made_up is finished (everything was tried): there is nothing to pause\n"
    assert capsys.readouterr() == ("", line)
    assert bench.dump() == before


def test_messages_show_no_password(tmp_path: Path) -> None:
    at = "@db:5432/sweeps"
    assert runfile.named(f"postgresql+psycopg://kim:secret{at}") == f"postgresql+psycopg://kim:***{at}"
    assert runfile.named(f"sqlite:///{tmp_path}/sweeps.db") == f"sqlite:///{tmp_path}/sweeps.db"
