"""Runs the real command line on real data, in a folder of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

SWEEP = Path(sys.executable).with_name("sweep")
NUCLEI = Path(__file__).parent / "data" / "nuclei" / "data.yaml"

SPACE = """\
study: small
data: {data}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: 4, image_size: 128, batch_size: 2}}
search: {{seed: [0]}}
budget: {{trials: 1}}
"""


@dataclass
class Desk:
    """A folder with a space file, where sweeps run."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self, text: str, name: str = "space.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *arguments: str | Path, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SWEEP), *map(str, arguments)], cwd=self.folder, capture_output=True, text=True, timeout=timeout,
            env=self.environment(),
        )  # fmt: skip

    def spawn(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Starts a command that goes on by itself; what it prints lies in out.log and err.log."""
        with (self.folder / "out.log").open("a") as out, (self.folder / "err.log").open("a") as err:
            process = subprocess.Popen(
                [str(SWEEP), *map(str, arguments)], cwd=self.folder, stdout=out, stderr=err, text=True,
                env=self.environment(),
            )  # fmt: skip
        self.started.append(process)
        return process

    def environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if not k.startswith("SWEEP_")}

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def err(self) -> str:
        path = self.folder / "err.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, what: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain; stderr so far:\n{self.err()}"
            time.sleep(0.1)


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; what only waits to be collected has ended."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size at `folder`; the test is skipped where nobody may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
