"""The command line as people and scripts use it: quick, documented, one exit code for each kind of end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from desk import SWEEP, Desk
from made_up import FOUR, Bench, figure, result, run, train
from rich.cells import cell_len

from runner.protocol import LeaseRequest
from sweeps.cli import _COMMANDS, cli, main
from sweeps.leases.coordinator import Coordinator
from sweeps.show import print_table

HEAVY = ("torch", "mmdet", "mmengine", "mmcv")
EMPTY = "sqlite:///empty.db"


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space and sweeps.db: a study of four complete trials, by two owners."""
    folder = tmp_path_factory.mktemp("tried")
    with Bench(folder).study() as study:
        coordinator = Coordinator(study)
        for owner in ("Ann", "김하늘", "Ann", "김하늘"):
            lease = coordinator.lease(LeaseRequest(worker="w1", owner=owner, device="cpu")).lease
            assert lease
            train(coordinator, lease)
        study.store.touch_study("made_up", state="finished")
    return folder


@pytest.fixture
def here(tried: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command line runs in the folder of the study."""
    monkeypatch.chdir(tried)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    return tried


Captured = pytest.CaptureFixture[str]


def said(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command line."""
    capsys.readouterr()
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


# quick


@pytest.mark.parametrize(
    "arguments", [["--help"], ["rank"], ["status"], ["check", "space.yaml"], ["start", "--help"], ["catalog"]]
)
def test_what_trains_nothing_loads_nothing_heavy(tried: Path, arguments: list[str]) -> None:
    code = (
        "import sys; from sweeps.cli import main; code = main(sys.argv[1:]); "
        f"print([name for name in {HEAVY} if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tried, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.splitlines()[-1] == "[] 0"


# documented


def commands(group: click.Group, above: str = "sweep") -> dict[str, click.Command]:
    """Every command below a group by its full name."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        found |= commands(command, f"{above} {name}") if isinstance(command, click.Group) else {}
        if not isinstance(command, click.Group):
            found[f"{above} {name}"] = command
    return found


def undocumented(name: str, command: click.Command) -> list[str]:
    """What a command's help lacks."""
    context = click.Context(command, info_name=name)
    text = command.get_help(context)
    wrong = [] if command.help else ["says not what it does"]
    wrong += [] if f"Example:  {name} " in text or f"Example:  {name}\n" in text + "\n" else ["has no example"]
    options = [p for p in command.params if isinstance(p, click.Option)]
    wrong += [f"{option.opts[-1]} has no help" for option in options if not option.help and not option.show_default]
    wrong += [] if any("--debug" in option.opts for option in options) else ["takes no --debug"]
    return wrong


def test_every_command_has_help_with_an_example() -> None:
    found = commands(cli)
    assert {name.split()[1] for name in found} == set(_COMMANDS)
    assert {name: wrong for name, one in found.items() if (wrong := undocumented(name, one))} == {}


def test_an_undocumented_command_would_be_found() -> None:
    @click.command()
    @click.option("--fast", is_flag=True)
    def bare(fast: bool) -> None: ...

    assert undocumented("sweep bare", bare) == [
        "says not what it does", "has no example", "--fast has no help", "takes no --debug",
    ]  # fmt: skip


def test_the_help_lists_every_command(capsys: Captured) -> None:
    code, out, err = said(capsys, "--help")
    assert (code, err) == (0, "")
    listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert set(_COMMANDS) <= set(listed)


@pytest.mark.parametrize("group", [[], ["data"], ["trials"]])
def test_the_help_of_a_group_has_an_example_and_cuts_no_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, group: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = said(capsys, *group, "--help")[1]
    assert "..." not in out.partition("Commands:")[2] and "Example" in out


# exit codes


def test_an_unknown_command_suggests_the_nearest(here: Path, capsys: Captured) -> None:
    code, out, err = said(capsys, "rnak")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "Error: there is no command rnak; did you mean rank?"
    code, _, err = said(capsys, "zzz")
    assert code == 2
    assert err.splitlines()[-1] == f"Error: there is no command zzz; write one of {', '.join(_COMMANDS)}"


@pytest.mark.parametrize(
    "arguments",
    [["rank", "--format", "xml"], ["best"], ["best", "--export", "onnx"], ["start"], ["rank", "--nothing"],
     ["start", "space.yaml", "--workers", "0"], ["catalog", "optimisers"],
     ["best", "--export", "params", "--trial", "x"]],
)  # fmt: skip
def test_wrong_usage_is_two(here: Path, capsys: Captured, arguments: list[str]) -> None:
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err and "Traceback" not in err


def test_the_users_mistake_is_one_and_one_line(here: Path, capsys: Captured) -> None:
    line = "sweep: no sweep has run here yet: empty.db does not exist; start one with: sweep start SPACE\n"
    for command in ("rank", "status"):
        assert said(capsys, command, "--storage", EMPTY) == (1, "", line)
    assert said(capsys, "stop", "--storage", EMPTY) == (1, "", f"sweep: no sweep runs on {EMPTY}\n")
    assert not (here / "empty.db").exists()
    line = "sweep: there is no study mine; there are: made_up\n"
    assert said(capsys, "rank", "--study", "mine") == (1, "", line)
    code, _, err = said(capsys, "rank", "--by", "colour")
    assert (code, err) == (
        1, "sweep: cannot rank by colour; choose one of: model, backbone, augmentation, optimizer, owner, schedule\n",
    )  # fmt: skip


def test_debug_shows_where_a_users_mistake_was_noticed(here: Path, capsys: Captured) -> None:
    code, out, err = said(capsys, "rank", "--debug", "--storage", EMPTY)
    assert (code, out) == (1, "")
    assert err.startswith("Traceback (most recent call last):")
    assert err.splitlines()[-1].startswith("sweep: no sweep has run here yet")


def test_an_interrupted_command_is_130(desk: Desk) -> None:
    process = desk.spawn("data", "demo", "particles", "--images", "3000")
    desk.wait_for(lambda: any(desk.folder.rglob("*.png")) or process.poll() is not None, 60)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert "Traceback" not in desk.err()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_mistake(tried: Path, unbuffered: str) -> None:
    line = f"set -o pipefail; {SWEEP} catalog --format json | head -c 10 >/dev/null"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["bash", "-c", line], cwd=tried, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


# what is printed


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["rank"], {"study", "objective", "direction", "baseline", "rows"}),
        (["rank", "--all", "--by", "model"], {"study", "objective", "direction", "baseline", "rows"}),
        (["status"], {"study", "state", "trials", "best", "workers", "eta_seconds"}),
        (["catalog"], {"models", "backbones", "augmentations", "optimizers", "schedules"}),
        (["check", "space.yaml"], {"ok", "errors"}),
    ],
)
def test_json_is_one_document_and_nothing_else(
    here: Path, capsys: Captured, arguments: list[str], keys: set[str]
) -> None:
    code, out, err = said(capsys, *arguments, "--format", "json")
    assert (code, err) == (0, "")
    assert keys <= set(json.loads(out))
    assert "NaN" not in out


def test_json_of_a_broken_space_is_one_document_too(here: Path, capsys: Captured) -> None:
    code, out, err = said(capsys, "check", "space.yaml", "--set", "fixed.model=htcc", "--format", "json")
    assert (code, err) == (1, "")
    assert json.loads(out) == {"ok": False, "errors": [
        {"file": "--set", "line": 1, "column": 1, "key": "fixed.model", "message": "unknown model htcc",
         "suggestion": "did you mean htc?"},
    ]}  # fmt: skip


def test_the_rows_of_the_ranking(here: Path, capsys: Captured) -> None:
    document = json.loads(said(capsys, "rank", "--format", "json")[1])
    assert [(row["rank"], row["trial"], row["owner"], row["score"]) for row in document["rows"]] == [
        (1, 3, "김하늘", figure(3, 2)), (2, 2, "Ann", figure(2, 2)),
        (3, 1, "김하늘", figure(1, 2)), (4, 0, "Ann", figure(0, 2)),
    ]  # fmt: skip
    assert document["baseline"]["trial"] == 0
    assert [row["delta_baseline"] for row in document["rows"]] == [
        figure(n, 2) - figure(0, 2) for n in (3, 2, 1, 0)
    ]  # fmt: skip


def test_a_korean_owner_is_aligned(here: Path, capsys: Captured) -> None:
    code, out, _ = said(capsys, "rank")
    assert code == 0
    head, *rows = [line for line in out.splitlines() if line.strip()][:5]
    ends = {cell_len(row[: row.index(f"{score:.10f}")]) for row, score in zip(
        rows, [figure(n, 2) for n in (3, 2, 1, 0)], strict=True)}  # fmt: skip
    assert len(ends) == 1, out
    assert ends.pop() + len("0.1002000000") == cell_len(head[: head.index("segm_mAP")]) + len("segm_mAP"), out


@pytest.mark.parametrize("width", [30, 60, 80])
def test_a_narrow_terminal_cuts_no_number(monkeypatch: pytest.MonkeyPatch, capsys: Captured, width: int) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    row = ["backbones", "3 of 4", "0.4123456789", "3", "+0.0123", "-0.0012 to +0.0234", "cascade_mask_rcnn, lr 0.001"]
    print_table(["stage", "trials", "segm_mAP", "seeds", "gain", "95 %", "best combination"], [row])
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    assert all(any(number in line for line in lines) for number in row[1:6]), lines
    assert max(map(cell_len, lines)) <= 80


@pytest.mark.parametrize("part", ["models", "backbones", "augmentations", "optimizers", "schedules"])
def test_every_part_of_the_catalog(here: Path, capsys: Captured, part: str) -> None:
    code, out, err = said(capsys, "catalog", part, "--format", "json")
    assert (code, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    assert list(document) == [part] and document[part]
    for entry in document[part]:
        assert entry["name"] and entry["title"]
    code, out, err = said(capsys, "catalog", part)
    assert (code, err) == (0, "")
    assert part in out


def test_an_unknown_part_of_the_catalog(here: Path, capsys: Captured) -> None:
    code, _, err = said(capsys, "catalog", "modles")
    assert code == 2
    assert err.splitlines()[-1] == "Error: there is no part modles; did you mean models?"


# the best one


def test_best_without_a_complete_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    with Bench(tmp_path).study() as study:
        coordinator = Coordinator(study)
        nothing = "sweep: no trial is complete yet; see: sweep status\n"
        assert said(capsys, "best", "--export", "config") == (1, "", nothing)
        for number, outcome in enumerate(("failed", "infeasible")):
            lease = coordinator.lease(LeaseRequest(worker="w1", owner="Ann", device="cpu")).lease
            assert lease and lease.trial == number
            coordinator.finish(number, lease.fence, result(outcome=outcome, reason="made up"))
    line = "sweep: no trial is complete yet (1 failed, 1 infeasible); see: sweep status\n"
    assert said(capsys, "best", "--export", "config") == (1, "", line)
    line = "sweep: trial 0 is failed, not complete (made up); see: sweep rank --all --study made_up\n"
    assert said(capsys, "best", "--export", "config", "--trial", "0") == (1, "", line)
    line = "sweep: there is no trial 9; there are 0 to 1\n"
    assert said(capsys, "best", "--export", "config", "--trial", "9") == (1, "", line)
    assert not list(tmp_path.glob("best_*"))


def test_best_writes_and_prints_where(here: Path, capsys: Captured, tmp_path: Path) -> None:
    out = tmp_path / "best.py"
    assert said(capsys, "best", "--export", "config", "--out", str(out)) == (0, f"{out}\n", "")
    assert out.read_text().startswith("# MMDetection config, exported by sweep\n")
    code, text, _ = said(capsys, "best", "--export", "params", "--trial", "1")
    assert (code, json.loads(text)["trial"]) == (0, 1)
    gone = here / "work_dirs" / "made_up" / "3" / "last.pth"
    line = f"sweep: the checkpoint {gone} is gone; export the config and train again: sweep best --export config"
    assert said(capsys, "best", "--export", "checkpoint") == (1, "", f"{line} --study made_up\n")
    named = "sqlite:///./sweeps.db"
    err = f"{line} --study made_up --storage {named}\n"
    assert said(capsys, "best", "--export", "checkpoint", "--storage", named) == (1, "", err)
    missing = tmp_path / "missing" / "best.py"
    code, _, err = said(capsys, "best", "--export", "config", "--out", str(missing))
    assert code == 1 and "Traceback" not in err and str(missing) in err


# which database, which study


def test_sweep_storage_names_the_database(
    tried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEP_STORAGE", f"sqlite:///{tried / 'sweeps.db'}")
    code, out, _ = said(capsys, "status", "--format", "json")
    assert (code, json.loads(out)["trials"]["complete"]) == (0, 4)
    code, _, err = said(capsys, "status", "--storage", EMPTY)
    assert (code, "empty.db does not exist" in err) == (1, True), "the option wins"


def test_a_server_and_a_database_exclude_each_other(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("SWEEP_TOKEN", "secret")
    line = "--server and --storage exclude each other: a server has its own database"
    code, _, err = said(capsys, "rank", "--server", "http://127.0.0.1:9", "--storage", EMPTY)
    assert (code, err.splitlines()[-1]) == (2, f"Error: {line}")
    line = "sweep: localhost:1 is no address of a study server; write one such as https://server:8600\n"
    assert said(capsys, "rank", "--server", "localhost:1") == (1, "", line)
    monkeypatch.setenv("SWEEP_SERVER", "http://127.0.0.1:9")
    assert said(capsys, "rank", "--storage", "sqlite:///sweeps.db")[0] == 0


def test_the_study_started_last_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    bench = Bench(tmp_path, FOUR)
    for name in ("one", "two"):
        with bench.study(f"study={name}", "budget.trials=1") as study:
            run(Coordinator(study))
    code, out, err = said(capsys, "rank", "--format", "json")
    assert (code, json.loads(out)["study"], err) == (0, "two", "study two (of 2; --study names another)\n")
    code, out, err = said(capsys, "rank", "--format", "json", "--study", "one")
    assert (code, json.loads(out)["study"], err) == (0, "one", "")
    with bench.study("study=one", "budget.trials=1"):
        pass  # started again: now it is the last
    assert json.loads(said(capsys, "rank", "--format", "json")[1])["study"] == "one"
