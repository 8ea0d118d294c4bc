"""`sweep doctor`: what it looks at, and what it says of what is wrong."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from results.store import Store
from runner import doctor as machine
from runner.doctor import Check
from sweeps.cli.doctor import as_json, database, doctor, examine, show

NAMES = [
    *["python", *machine.PACKAGES, "opencv loads", "torch.cuda", "mmcv ops (cpu)"],
    *["disk, trainings", "disk, cache", "database", "CPU cores", "memory", "shared memory"],
]


def test_json_has_everything(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/sweeps.db"
    arguments = ["--storage", storage, "--work-dir", str(tmp_path / "runs"), "--format", "json"]
    result = CliRunner().invoke(doctor, arguments)
    answer = json.loads(result.stdout)
    checks = {each["name"]: each for each in answer["checks"]}
    assert set(NAMES) <= set(checks)
    assert all(set(each) == {"name", "found", "ok", "problem"} for each in answer["checks"])
    assert checks["torch"]["found"].startswith("2.13.0")
    assert checks["mmcv ops (cpu)"] == {"name": "mmcv ops (cpu)", "found": "run", "ok": True, "problem": None}
    assert checks["database"]["found"] == f"not there yet; the first sweep makes {tmp_path}/sweeps.db"
    assert checks["disk, trainings"]["found"].endswith(f" GiB free in {tmp_path}")
    assert result.exit_code == (0 if answer["ok"] else 1)
    assert not (tmp_path / "sweeps.db").exists()  # looking changes nothing


def test_something_wrong_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database, as any reader can see at once\n" * 30)
    result = CliRunner().invoke(doctor, ["--storage", f"sqlite:///{tmp_path}/notes.db"])
    assert result.exit_code == 1
    assert f"database: {tmp_path}/notes.db is not an SQLite database" in result.stdout


def test_storage_from_the_environment(tmp_path: Path) -> None:
    arguments, env = ["--format", "json"], {"SWEEP_STORAGE": "mysql://somewhere/sweeps"}
    result = CliRunner().invoke(doctor, arguments, env=env)
    problems = [each["problem"] for each in json.loads(result.stdout)["checks"] if each["name"] == "database"]
    assert problems[0].startswith("storage of the kind mysql is not supported; write sqlite:///sweeps.db or")


def test_help_is_quick_and_has_an_example() -> None:
    heavy = ["torch", "mmcv", "mmengine", "mmdet", "cv2", "sqlalchemy", "pandas", "optuna", "pynvml", "rich"]
    code = (
        "import sys; from sweeps.cli.doctor import doctor\n"
        "try: doctor(['--help'])\n"
        f"finally: print([each for each in {heavy} if each in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    assert "sweep doctor --storage sqlite:///demo/sweeps.db" in shown


def test_table_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    show([Check("torch", "2.13.0"), Check("memory", "2.0 GiB", "less than 4 GiB: close [other] programs")])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["what", "found"],
        ["ok", "torch", "2.13.0"],
        ["WRONG", "memory", "2.0", "GiB"],
        [],
        ["memory:", "less", "than", "4", "GiB:", "close", "[other]", "programs"],
    ]
    show([Check("torch", "2.13.0")])
    assert capsys.readouterr().out.endswith("\nNothing is wrong.\n")
    assert json.loads(as_json([Check("a", "b", "c")])) == {
        "ok": False,
        "checks": [{"name": "a", "found": "b", "ok": False, "problem": "c"}],
    }


# the database


def test_database_of_ours(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/sweeps.db"
    Store.open(storage).close()
    assert database(storage) == Check("database", "0 studies")
    assert database(f"{storage}?timeout=5") == Check("database", "0 studies")


def test_database_of_another_program(tmp_path: Path) -> None:
    file = tmp_path / "music.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE albums (title TEXT)")
    before = file.read_bytes()
    assert database(f"sqlite:///{file}").problem == (
        f"{file} belongs to another program (it has the tables albums); name another --storage"
    )
    assert file.read_bytes() == before


def test_database_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert database(f"sqlite:///{tmp_path}/no/sweeps.db").problem == (
        f"{tmp_path}/no does not exist: make it, or name another --storage"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_database_that_is_read_only(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/sweeps.db"
    Store.open(storage).close()
    (tmp_path / "sweeps.db").chmod(0o444)
    assert database(storage).problem == (f"{tmp_path}/sweeps.db or its folder is read-only: name another --storage")


# the machine


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("", None),
        (">=8", None),
        ("==2.3.*", "the project needs pytest==2.3.*: run docker/setup.sh"),
    ],
)
def test_version(wanted: str, problem: str | None) -> None:
    assert machine.version("pytest", wanted) == Check("pytest", pytest.__version__, problem)


def test_version_of_what_is_not_installed() -> None:
    assert machine.version("no-such-package") == Check("no-such-package", "not installed", "run docker/setup.sh")


@pytest.mark.parametrize(
    ("present", "usable", "built", "visible", "found", "problem"),
    [
        (0, 0, None, None, "0 of 0 GPUs (torch 2.13.0, CPU build)", None),
        (2, 2, "13.0", None, "2 of 2 GPUs (torch 2.13.0, CUDA 13.0)", None),
        (2, 1, "13.0", "1", "1 of 2 GPUs (torch 2.13.0, CUDA 13.0), CUDA_VISIBLE_DEVICES=1", None),
        (0, 0, "13.0", None, "0 of 0 GPUs (torch 2.13.0, CUDA 13.0)", None),
        (
            *(1, 0, None, None, "0 of 1 GPUs (torch 2.13.0, CPU build)"),
            "torch is built for the CPU alone, the GPUs stay idle: remove .venv and run docker/setup.sh "
            "where pip finds a torch with CUDA",
        ),
        (
            *(1, 0, "13.0", None, "0 of 1 GPUs (torch 2.13.0, CUDA 13.0)"),
            "torch cannot use every GPU: update the driver to one for CUDA 13.0",
        ),
    ],
)
def test_torch_and_driver_agree(
    present: int, usable: int, built: str | None, visible: str | None, found: str, problem: str | None
) -> None:
    check = machine.agreement(present, usable, "2.13.0", built, visible)
    assert check == Check("torch.cuda", found, problem)


def test_gpus_of_this_machine() -> None:
    gpus = machine.gpus()
    present = sum(each.name != machine.NO_GPU for each in gpus)
    assert [each.name for each in gpus] == ([f"GPU {each}" for each in range(present)] or [machine.NO_GPU])


def test_operation_that_cannot_run() -> None:
    check = machine.operation("meta")
    assert (check.name, check.found, check.ok) == ("mmcv ops (meta)", "do not run", False)
    assert check.problem is not None
    assert check.problem.endswith(": run docker/setup.sh --rebuild")


def test_disk(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    assert machine.disk("disk", folder, needed=0).ok
    assert machine.disk("disk", folder, needed=1e9).problem == (
        "less than 1e+09 GiB free: make room, or name another folder"
    )
    file = tmp_path / "file"
    file.touch()
    assert machine.disk("disk", file / "runs", needed=0).problem == f"{file} is a file: name another folder"


def test_shared_memory(tmp_path: Path) -> None:
    assert machine.shared_memory(tmp_path, needed=1e9).problem == (
        f"{tmp_path} holds less than 1e+09 GiB: docker run --shm-size=8g (or --ipc=host)"
    )
    assert machine.shared_memory(tmp_path / "none") == Check("shared memory", f"no {tmp_path / 'none'}")


def test_cores_are_those_we_may_use() -> None:
    assert 0 < machine.cores() <= (os.cpu_count() or 1)


def test_examine_names_each_thing_once(tmp_path: Path) -> None:
    names = [each.name for each in examine(f"sqlite:///{tmp_path}/sweeps.db", tmp_path)]
    assert len(names) == len(set(names))
