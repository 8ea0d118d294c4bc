"""The set-up script, run for real on a PATH of its own; pip's stand-in writes down what it is asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
TOOLS = ["awk", "bash", "c++", "cat", "chmod", "df", "dirname", "flock", "grep", "mkdir", "mv", "nproc", "rm"]
TOOLS += ["sed", "sleep", "tail", "touch"]
NOTHING = "docker/setup.sh: nothing was installed; this machine lacks:\n"

# The Python of an environment under test. pip notes its arguments; the file `broken` makes it fail. mmcv's
# ops run once the file `ops` is there; the file `cached` keeps pip from making it unless its cache is passed
# by. The file `cuda` says what torch was built for, the file `seconds` how long pip takes.
VENV_PYTHON = """#!/bin/sh
case "$*" in
    *"-m pip install"*)
        echo "$*" | sed 's/.*constraints.txt //' >>"{home}/calls"
        [ ! -e "{home}/seconds" ] || sleep "$(cat "{home}/seconds")"
        [ ! -e "{home}/broken" ] || {{ echo "ERROR: no matching distribution"; exit 1; }}
        case "$*" in
            *no-cache-dir*mmcv*) touch "{home}/ops" ;;
            *mmcv*) [ -e "{home}/cached" ] || touch "{home}/ops" ;;
        esac ;;
    *mmcv.ops*) [ -e "{home}/ops" ] || {{ echo "ImportError: libtorch: undefined symbol" >&2; exit 1; }} ;;
    *torch.version.cuda*) cat "{home}/cuda" ;;
    *torch.cuda.is_available*) echo True ;;
    *) exec "{real}" "$@" ;;
esac
"""
PYTHON = """#!/bin/sh
case "$*" in
    *"-m venv"*)
        for folder; do :; done
        mkdir -p "$folder/bin" && touch "$folder/pyvenv.cfg" && cat "{home}/venv-python" >"$folder/bin/python"
        chmod +x "$folder/bin/python"; echo "#!$folder/bin/python" >"$folder/bin/pip" ;;
    *) exec "{real}" "$@" ;;
esac
"""


class Machine:
    """A project and a PATH on which only what a test puts there can be found."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a project"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        shutil.copytree(ROOT / "docker", self.root / "docker")
        for name in ("pyproject.toml", "Makefile"):
            shutil.copy(ROOT / name, self.root)
        for name in TOOLS:
            self.command(name, f'#!/bin/sh\nexec {shutil.which(name)} "$@"\n')
        (folder / "venv-python").write_text(VENV_PYTHON.format(home=folder, real=sys.executable))
        self.command("python3.11", PYTHON.format(home=folder, real=sys.executable))
        self.home = folder

    def command(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        command = [str(self.bin / "bash"), str(self.root / "docker/setup.sh"), *arguments]
        env = {"PATH": str(self.bin), "HOME": str(self.home), "MMCV_CPU_ONLY": "1"} | env
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def setup(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **env)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def calls(self) -> list[str]:
        """What pip was asked since the last call."""
        notes = self.home / "calls"
        text = notes.read_text() if notes.exists() else ""
        notes.unlink(missing_ok=True)
        return text.splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


TORCH = "torch==2.13.0 setuptools<81 wheel ninja psutil"
MMCV = "-v --no-build-isolation mmcv==2.1.0"
MMCV_ANEW = "-v --no-build-isolation --no-cache-dir --force-reinstall --no-deps mmcv==2.1.0"
PLAIN, DEV = "--no-build-isolation -e .[train]", "--no-build-isolation -e .[dev]"


def test_fresh_then_at_once(machine: Machine) -> None:
    first = machine.setup("--dev")
    assert first.returncode == 0, first.stderr
    assert machine.calls() == [TORCH, MMCV, DEV]
    assert first.stderr.splitlines()[-1].endswith("done: .venv is ready")
    assert "5 to 8 minutes" in first.stderr
    again = machine.setup("--dev")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    machine.setup()
    assert machine.calls() == []  # the test tools serve a plain set-up too


def test_test_tools_come_later(machine: Machine) -> None:
    machine.setup()
    assert machine.calls() == [TORCH, MMCV, PLAIN]
    machine.setup("--dev")
    assert machine.calls() == [TORCH, DEV]  # mmcv's ops run already


@pytest.mark.parametrize("name", ["pyproject.toml", "docker/constraints.txt", "docker/setup.sh"])
def test_a_change_sets_up_again(machine: Machine, name: str) -> None:
    machine.setup()
    machine.calls()
    with (machine.root / name).open("a") as file:
        file.write("\n# changed\n")
    assert machine.setup().returncode == 0
    assert machine.calls() == [TORCH, PLAIN]


def test_a_moved_environment_is_made_anew(machine: Machine) -> None:
    machine.setup()
    machine.calls()
    machine.root = machine.root.rename(machine.home / "elsewhere")
    moved = machine.setup()
    assert moved.returncode == 0, moved.stderr
    assert ".venv was moved here or is incomplete: making it anew" in moved.stderr
    assert machine.calls() == [TORCH, PLAIN]


def test_goes_on_after_a_failure(machine: Machine) -> None:
    (machine.home / "broken").touch()
    failed = machine.setup()
    assert failed.returncode == 1
    log = machine.root / ".venv/setup.log"
    assert failed.stderr.splitlines()[-2:] == [
        "ERROR: no matching distribution",
        f"docker/setup.sh: installing torch failed, its last lines are above, all of them in {log}; "
        "run it again to go on from here",
    ]
    (machine.home / "broken").unlink()
    assert machine.setup().returncode == 0
    assert machine.calls() == [TORCH, TORCH, MMCV, PLAIN]


def test_interrupted(machine: Machine) -> None:
    (machine.home / "seconds").write_text("20")
    process = machine.start()
    while not (machine.home / "calls").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    stderr = process.communicate(timeout=10)[1]
    assert process.returncode == 130
    assert stderr.splitlines()[-1].endswith("interrupted; run it again to go on from here")
    (machine.home / "seconds").unlink()
    assert machine.setup().returncode == 0


def test_two_at_once(machine: Machine) -> None:
    (machine.home / "seconds").write_text("0.5")
    first = machine.start()
    while not (machine.home / "calls").exists():
        time.sleep(0.05)
    second = machine.setup()
    assert (first.wait(timeout=60), second.returncode) == (0, 0)
    first.communicate()
    assert second.stderr.endswith(" another set-up is running here; waiting for it\n")
    assert machine.calls() == [TORCH, MMCV, PLAIN]  # once


def test_ops_from_the_cache_that_do_not_run_are_compiled(machine: Machine) -> None:
    (machine.home / "cached").touch()
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert machine.calls() == [TORCH, MMCV, MMCV_ANEW, PLAIN]
    assert machine.setup("--rebuild").returncode == 0
    assert machine.calls() == [TORCH, MMCV_ANEW, PLAIN]


def test_ops_that_never_run_stop_it(machine: Machine) -> None:
    script = machine.home / "venv-python"
    script.write_text(script.read_text().replace("touch", ":"))
    failed = machine.setup()
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == (
        "docker/setup.sh: mmcv was built, but its ops do not run: ImportError: libtorch: undefined symbol "
        f"(all of it in {machine.root}/.venv/setup.log)"
    )
    assert machine.calls() == [TORCH, MMCV, MMCV_ANEW]
    assert machine.setup().returncode == 1  # and it is not taken for done


def lacking(machine: Machine, **env: str) -> list[str]:
    result = machine.setup(**env)
    assert result.returncode == 1
    assert result.stderr.startswith(NOTHING), result.stderr
    assert not (machine.root / ".venv").exists()
    assert machine.calls() == []
    return result.stderr.removeprefix(NOTHING).splitlines()


def test_no_compiler(machine: Machine) -> None:
    (machine.bin / "c++").unlink()
    assert lacking(machine) == [
        "  - C++ compiler: c++ compiles no C++17, and mmcv's ops are compiled here",
        "On Debian or Ubuntu: apt-get update && apt-get install -y build-essential",
    ]


def test_python_too_old(machine: Machine) -> None:
    (machine.bin / "python3.11").unlink()
    machine.command("python3", "#!/bin/sh\necho 3.9.18\necho old\n")
    assert lacking(machine)[0] == (
        "  - Python 3.11 or newer: python3 is 3.9.18; install one with its venv module and headers, or name "
        "it: PYTHON=/path/to/python3.11 docker/setup.sh"
    )


def test_no_python(machine: Machine) -> None:
    (machine.bin / "python3.11").unlink()
    machine.command("python3.12", "#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2; exit 127\n")
    assert lacking(machine)[0].startswith(
        "  - Python 3.11 or newer: none found (python3.11 python3.12 python3.13 python3); install one"
    )
    assert lacking(machine, PYTHON="/opt/my python")[0].startswith(
        "  - Python 3.11 or newer: none found (/opt/my python); install one"
    )


def test_the_first_whole_python_is_taken(machine: Machine) -> None:
    shutil.copy(machine.bin / "python3.11", machine.bin / "python3.12")
    machine.command("python3.11", "#!/bin/sh\necho 3.11.2\necho venv\n")
    assert machine.setup().returncode == 0


def test_everything_that_is_missing_at_once(machine: Machine) -> None:
    (machine.bin / "c++").unlink()
    # It cannot load a library either: whatever it is asked, it answers the same and fails.
    machine.command("python3.11", "#!/bin/sh\n[ $# -eq 2 ] || exit 1\necho 3.11.2\necho venv\necho headers\n")
    machine.command("df", "#!/bin/sh\necho Filesystem\necho /dev/disk 9437184 8388608 1048576 89% /\n")
    assert lacking(machine, TMPDIR="/tmp") == [
        "  - Python's venv module, which python3.11 3.11.2 has not",
        "  - Python's headers (Python.h), which python3.11 3.11.2 has not",
        "  - C++ compiler: c++ compiles no C++17, and mmcv's ops are compiled here",
        "  - disk: 1 GB are free in /tmp, compiling takes 2 GB",
        "  - libGL.so.1, which OpenCV loads",
        "  - libgthread-2.0.so.0 of GLib, which OpenCV loads",
        f"  - disk: 1 GB are free in {machine.root}, the environment takes 6 GB",
        "On Debian or Ubuntu: apt-get update && apt-get install -y python3.11-venv python3.11-dev "
        "build-essential libgl1 libglib2.0-0",
    ]


GPU = "#!/bin/sh\necho 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'\n"
ON_THE_CPU = "MMCV_CPU_ONLY=1 docker/setup.sh"


def test_gpu_without_cuda_compiler(machine: Machine) -> None:
    machine.command("nvidia-smi", GPU)
    assert lacking(machine, MMCV_CPU_ONLY="0", CUDA_HOME="/nonexistent") == [
        "  - CUDA compiler: this machine has an NVIDIA GPU, but there is no nvcc, which compiles mmcv's ops for it; "
        "install the CUDA toolkit 13.0 (torch's own version) and put nvcc on PATH or set CUDA_HOME; "
        f"to go on without the GPU, on the CPU alone: {ON_THE_CPU}"
    ]
    assert machine.setup(CUDA_HOME="/nonexistent").returncode == 0  # on the CPU on purpose
    again = machine.setup("--dev", MMCV_CPU_ONLY="0", CUDA_HOME="/nonexistent")
    assert again.returncode == 0, again.stderr  # the choice holds


@pytest.mark.parametrize(
    ("torch", "nvcc", "problem"),
    [
        ("13.0", "13.1", None),
        (
            "13.0",
            "12.8",
            "nvcc is of CUDA 12.8, torch of CUDA 13.0: install the CUDA toolkit 13.0 (CUDA_HOME names it); "
            f"to go on without the GPU: {ON_THE_CPU}",
        ),
        (
            "",
            "13.0",
            "this machine has an NVIDIA GPU, but pip found a torch for the CPU alone; name an index with the "
            f"CUDA build (PIP_INDEX_URL) and remove .venv; to go on without the GPU: {ON_THE_CPU}",
        ),
    ],
)
def test_gpu_and_versions_of_cuda(machine: Machine, torch: str, nvcc: str, problem: str | None) -> None:
    machine.command("nvidia-smi", GPU)
    machine.command("nvcc", f"#!/bin/sh\necho 'Cuda compilation tools, release {nvcc}, V{nvcc}.1'\n")
    (machine.home / "cuda").write_text(torch)
    result = machine.setup(MMCV_CPU_ONLY="0")
    if problem:
        assert (result.returncode, result.stderr.splitlines()[-1]) == (1, f"docker/setup.sh: {problem}")
        assert machine.calls() == [TORCH]  # nothing was compiled for nothing
    else:
        assert result.returncode == 0, result.stderr


def test_ops_for_gpus_elsewhere(machine: Machine) -> None:
    """An image is built where no GPU is: the compiler must be there, the driver need not."""
    (line,) = lacking(machine, MMCV_CPU_ONLY="0", MMCV_CUDA="1", CUDA_HOME="/nonexistent")
    assert line.startswith(
        "  - CUDA compiler: MMCV_CUDA is set, but there is no nvcc, which compiles mmcv's ops for it; "
    )
    machine.command("nvcc", "#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.1'\n")
    (machine.home / "cuda").write_text("13.0")
    result = machine.setup(MMCV_CPU_ONLY="0", MMCV_CUDA="1")
    assert result.returncode == 0, result.stderr
    assert machine.calls() == [TORCH, MMCV, PLAIN]
    assert not (machine.root / ".venv/cpu-only").exists()


def test_foreign_folder_is_left_alone(machine: Machine) -> None:
    (machine.root / ".venv").mkdir()
    (machine.root / ".venv/mine.txt").touch()
    result = machine.setup()
    assert result.returncode == 1
    assert "  - .venv is there and no virtual environment: move it away\n" in result.stderr
    assert (machine.root / ".venv/mine.txt").exists()


def test_usage(machine: Machine) -> None:
    wrong, asked = machine.setup("--developer"), machine.setup("--help")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == asked.stdout
    assert asked.stdout.startswith("usage: docker/setup.sh [--dev] [--rebuild]\n")


def run_make(machine: Machine, *arguments: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    command = ["make", *arguments]
    done = subprocess.run(command, cwd=machine.root, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def test_make_lists_its_targets(machine: Machine) -> None:
    targets = [line.split()[1] for line in run_make(machine).splitlines()]
    assert targets == ["help", "setup", "demo", "test", "slow", "lint", "doctor", "clean"]


def test_make_clean_takes_only_what_make_made(machine: Machine) -> None:
    for name in (
        "demo",
        "runner/__pycache__",
        ".pytest_cache",
        ".venv/lib/__pycache__",
        "work_dirs",
        "demo_mine",
    ):
        (machine.root / name).mkdir(parents=True)
    run_make(machine, "clean")
    left = sorted(str(each.relative_to(machine.root)) for each in machine.root.glob("**/") if each != machine.root)
    assert left == [
        ".venv",
        ".venv/lib",
        ".venv/lib/__pycache__",
        "demo_mine",
        "docker",
        "runner",
        "work_dirs",
    ]


def pins() -> dict[str, str]:
    lines = (ROOT / "docker/constraints.txt").read_text().splitlines()
    return dict(line.lower().replace("_", "-").split("==") for line in lines if not line.startswith("#"))


def test_constraints_pin_all_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = pins()
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["train"], *extras["ray"], *extras["s3"], *extras["dev"]]:
        wanted = Requirement(line)
        if wanted.name == "sweep":  # itself, with other extras
            continue
        assert wanted.specifier.contains(pinned[wanted.name.lower().replace("_", "-")]), line


def test_constraints_suit_every_build_and_machine() -> None:
    pinned = pins()
    assert pinned["torch"] == "2.13.0"
    assert not any("+" in each or "/" in each for each in pinned.values())
    assert [each for each in pinned if each.startswith(("nvidia-", "cuda", "triton"))] == ["nvidia-ml-py"]


@pytest.mark.parametrize("name", ["Makefile", "docker/setup.sh", "docker/constraints.txt", ".ci/run"])
def test_no_host_is_named(name: str) -> None:
    assert "://" not in (ROOT / name).read_text().replace("sqlite://", "")


@pytest.mark.parametrize("name", ["docker/setup.sh", ".ci/run"])
def test_scripts_can_be_run(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
