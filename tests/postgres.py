"""A PostgreSQL server of a test's own: on a free port of the loopback address, in a folder that goes with it.

The binaries are those on PATH, or of Debian's package `postgresql`. It refuses to run as root, so that root's tests
start it as another user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runner.lifeline import die_with_parent

_START_SECONDS = 60


def binaries() -> Path | None:
    """The folder of initdb and postgres, the newest version's; None where they are not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    candidates = [*reversed(folders), *([Path(found).resolve().parent] if found else [])]
    return next((path for path in candidates if (path / "postgres").exists() and (path / "initdb").exists()), None)


class Postgres:
    """One server; `start` before use, `remove` at the end.

    Args:
        durable: whether a commit waits for the disk, as it does in earnest; else a crash of the machine loses some.

    Attributes:
        port: on 127.0.0.1; the same after each start.
    """

    def __init__(self, durable: bool = False) -> None:
        found = binaries()
        assert found, "this test starts a PostgreSQL server: apt-get install postgresql"
        self._bin, self._user = found, _user()
        self._folder = Path(tempfile.mkdtemp(prefix="sweep-postgres-"))
        if self._user:
            os.chown(self._folder, self._user["user"], self._user["group"])
        self._process: subprocess.Popen[bytes] | None = None
        # the kernel ends the server with the thread that started it: one that lives as long as this object
        self._spawner = ThreadPoolExecutor(1)
        self._options = [] if durable else ["-c", "fsync=off"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        data = ["-D", str(self._folder / "data"), "-U", "ann", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        self._call("initdb", *data)

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        command = [str(self._bin / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}"]
        command += ["-c", "max_connections=200", *self._options]
        self._process = self._spawner.submit(self._spawn, command).result()
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        parent = os.getpid()
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent), **self._user,
            )  # fmt: skip

    def _wait(self) -> None:
        assert self._process
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        for _ in range(_START_SECONDS * 10):
            if self._process.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            if subprocess.run(ready, check=False).returncode == 0:
                return
            try:
                self._process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
        raise RuntimeError("PostgreSQL does not answer")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server and waits for its end.

        Args:
            how: SIGINT disconnects everybody, SIGQUIT is a crash of the whole server.
        """
        if self._process and self.running:
            self._process.send_signal(how)
            self._process.wait(timeout=60)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server and starts it again on the same port."""
        self.stop(how)
        self.start()

    def database(self, template: str = "template1") -> str:
        """Makes a database, empty or as another one that nobody is connected to; its URL."""
        name = f"sweeps_{uuid.uuid4().hex[:12]}"
        self.sql("postgres", f"CREATE DATABASE {name} TEMPLATE {template.rsplit('/', 1)[-1]}")
        return self.url(name)

    def url(self, database: str) -> str:
        """How our programs name a database of this server."""
        return f"postgresql+psycopg://ann:secret@127.0.0.1:{self.port}/{database}"

    def sql(self, database: str, command: str) -> list[Any]:
        """Runs one command, committed; its rows."""
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=ann dbname={database}", autocommit=True) as one:
            cursor = one.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def disconnect(self) -> int:
        """Cuts every connection of our programs; how many there were."""
        others = "datname LIKE 'sweeps%' AND backend_type = 'client backend'"
        return len(self.sql("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

    def remove(self) -> None:
        """Ends the server, which need not write anything any more, and removes its folder."""
        self.stop(signal.SIGQUIT)
        self._spawner.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **self._user)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")


def _user() -> dict[str, Any]:
    """Arguments of Popen that start a process as a user who is not root; none if this one is not."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A server that all tests of a run share."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres(postgres_server: Postgres) -> Postgres:
    """The shared server, running."""
    if not postgres_server.running:
        postgres_server.start()
    return postgres_server
