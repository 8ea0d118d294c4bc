"""Fixtures of all tests: a desk to run the command line at."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import NUCLEI, SPACE, Desk, alive, family
from filelock import FileLock
from postgres import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]  # fixtures


# Threads of torch that wait must not keep the cores busy: two processes test side by side.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
# Those that take longest begin first, so that none of them is left alone at the end.
LONGEST = (
    "runner/test_every_name.py", "test_interrupt.py", "test_failing_trials.py", "test_serve.py", "test_kill.py",
    "test_full_disk.py", "runner/test_ray_pool.py", "security/test_tls.py", "test_dashboard.py",
)  # fmt: skip


def pytest_configure() -> None:
    """Ctrl-C reaches what the tests start, also when a shell runs them in the background, where it is ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the rest in its order."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """What trains in a test's own process logs into that test's folder, no later test does.

    mmengine keeps the last training's logger for all of a process; a server (uvicorn) that begins there closes its
    file, and the next model that is built would fail at writing into it.
    """
    yield
    if "mmengine.logging" in sys.modules:
        sys.modules["mmengine.logging"].MMLogger._instance_dict.clear()


@pytest.fixture(autouse=True, scope="module")
def catalog_as_it_was() -> Iterator[None]:
    """What the plugins of a file's tests add to the catalog is taken out after it."""
    yield
    if userparts := sys.modules.get("runner.userparts"):
        for module in list(userparts.loaded()):
            userparts.unload(module)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty desk; what a failed test left running is ended."""
    desk = Desk(tmp_path)
    yield desk
    for process in desk.started:
        left = alive(family(process.pid))
        for one in left:
            one.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def small(desk: Desk) -> Desk:
    """A desk with the smallest real sweep: one trial of four epochs, in space.yaml."""
    desk.write(SPACE.format(data=NUCLEI))
    return desk


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that an unprivileged user can reach, and this process as one (root may write anywhere)."""
    folder = Path(tempfile.mkdtemp(prefix="sweep-test-"))
    folder.chmod(0o755)
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        folder.chmod(0o755)
        if root:
            os.seteuid(0)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Desk:
    """The smallest real sweep, run to its end once, also for other processes of this run: what disturbed ones equal."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "undisturbed"
    with FileLock(f"{folder}.lock"):
        desk = Desk(folder)
        if not folder.exists():
            folder.mkdir()
            desk.write(SPACE.format(data=NUCLEI))
            done = desk.run("start", "space.yaml")
            assert done.returncode == 0, done.stderr
    return desk
