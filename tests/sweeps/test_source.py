"""Orders on a database that no process owns: one is started for the moment."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import ASK, Bench, run

from results.database.urls import named
from runner.protocol import EpochReport
from sweeps.access import artifact_store, runfile
from sweeps.access.remote import Remote, server_option
from sweeps.access.source import Source
from sweeps.artifacts import Place
from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.registry import Registry


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


def test_a_process_that_runs_another_study_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, registry = Bench(tmp_path), Registry()
    with bench.study("study=other"):
        pass
    monkeypatch.chdir(tmp_path)
    lock = runfile.own("sqlite:///sweeps.db")
    assert lock
    with lock, bench.study() as study, Server(create_app(registry, "token")) as server:
        registry.add(Coordinator(study))
        runfile.write("sqlite:///sweeps.db", runfile.RunFile(server.url, "token", os.getpid(), "made_up"))
        line = (
            f"sweep: process {os.getpid()} runs study made_up on the database sqlite:///sweeps.db, and only that one; "
            "wait, or end it with: sweep stop\n"
        )
        for order in (["pause"], ["resume"], ["trials", "retry", "0"], ["trials", "cancel", "0"]):
            assert main([*order, "--study", "other"]) == 1
            assert capsys.readouterr() == ("", line)
        assert main(["pause", "--study", "nowhere"]) == 1
        assert capsys.readouterr().err == "sweep: there is no study nowhere; there are: made_up\n"
        assert main(["pause"]) == 0
    lock.release()


def test_messages_show_no_password(tmp_path: Path) -> None:
    at = "@db:5432/sweeps"
    assert named(f"postgresql+psycopg://kim:secret{at}") == f"postgresql+psycopg://kim:***{at}"
    assert named(f"sqlite:///{tmp_path}/sweeps.db") == f"sqlite:///{tmp_path}/sweeps.db"


def test_the_url_of_a_server_is_shown_as_it_was_written_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, bare = "http://kim:s@cret@127.0.0.1:1/sweep", "http://127.0.0.1:1/sweep"
    with Remote(url, "token") as remote:
        assert server_option(remote) == Source("", url).option == f" --server {bare}"
    monkeypatch.setenv("SWEEP_TOKEN", "token")
    for where in (url, "ftp://kim:s@cret@x", "http://kim:s@cret@127.0.0.1:x"):
        assert main(["status", "--server", where]) == 1
        said = capsys.readouterr().err
        assert "cret" not in said and "kim" not in said
    assert Source("sqlite:///sweeps.db").option == ""


def test_the_log_of_a_trial_that_was_trained_elsewhere_is_read_on_the_servers_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, sent = Bench(tmp_path), tmp_path / "sent"
    sent.write_text("x" * 2**20 + "the end\n")
    with bench.study() as study, artifact_store.opened(study.store, bench.storage) as artifacts:
        study.ask()
        assert main(["logs", "0", "--storage", bench.storage]) == 1
        assert capsys.readouterr().err == "sweep: trial 0 of study made_up has no log yet\n"
        artifacts.add(Place("made_up", 0, "train.log"), sent)
    assert main(["logs", "0", "--storage", bench.storage]) == 0
    assert capsys.readouterr().out == sent.read_text()
    monkeypatch.setenv("SWEEP_ARTIFACTS", str(tmp_path / "others"))
    assert main(["logs", "0", "--storage", bench.storage]) == 1
    line = f"sweep: {tmp_path / 'others'} has no train.log of trial 0; SWEEP_ARTIFACTS names another place\n"
    assert capsys.readouterr().err == line


def on_a_terminal(*command: str) -> bytes:
    """What a command line of ours writes to a terminal."""
    ours, theirs = pty.openpty()
    code = "import sys; from sweeps.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen([sys.executable, "-c", code, *command], stdout=theirs)
    os.close(theirs)
    found = b""
    with contextlib.suppress(OSError):  # the end
        while block := os.read(ours, 2**16):
            found += block
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return found


def test_a_log_moves_no_cursor_and_turns_no_text(tmp_path: Path) -> None:
    bench, sent = Bench(tmp_path), tmp_path / "sent"
    cut = "x" * (2**20 - 1) + "\u202e"  # lies in two pieces
    sent.write_bytes(f"{cut}\x1b[2J\x9b\u2066\u200f\ttrained, \ud55c\r\n".encode() + b"\x9b\n")
    with bench.study() as study, artifact_store.opened(study.store, bench.storage) as artifacts:
        study.ask()
        artifacts.add(Place("made_up", 0, "train.log"), sent)
    shown = on_a_terminal("logs", "0", "--storage", bench.storage).decode().lstrip("x").replace("\r\n", "\n")
    assert shown == "??[2J???\ttrained, \ud55c\r\n\ufffd\n"
