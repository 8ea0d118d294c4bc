"""`sweep serve` and all that talks to it, through the command line, with one real training."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from desk import NUCLEI, Desk, alive, family

from runner.protocol import HEARTBEAT_SECONDS, LEASE_SECONDS
from sweeps.access import runfile
from sweeps.access.remote import Remote

EPOCHS = 8  # enough for a restart of the server in the middle
SPACE = """\
study: served
data: {data}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: {epochs}, image_size: 64, batch_size: 2}}
search: {{seed: [0]}}
budget: {{trials: 1}}
"""


@dataclass
class Team:
    """A server on a port of its own, and how commands reach it."""

    desk: Desk
    port: int
    server: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> tuple[str, ...]:
        return ("--server", self.url, "--token-file", "sweeps.db.token")

    def serve(self) -> None:
        known = self.desk.err().count("Ctrl-C ends it")
        self.server = self.desk.spawn("serve", "--port", str(self.port))
        self.desk.wait_for(lambda: self.desk.err().count("Ctrl-C ends it") > known)

    def remote(self) -> Remote:
        return Remote(self.url, (self.desk.folder / "sweeps.db.token").read_text().strip())

    def run(self, *command: str, code: int = 0) -> str:
        """A command against the server; what it printed on stdout, or on stderr if it was to fail."""
        done = self.desk.run(*command, *self.options)
        assert done.returncode == code, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team's server whose one study was trained to its end, the server having been restarted meanwhile."""
    desk = Desk(tmp_path_factory.mktemp("team"))
    made = Team(desk, free_port())
    try:
        made.serve()
        made.story = story(made)  # type: ignore[attr-defined]
        yield made
    finally:
        for process in desk.started:
            for one in alive(family(process.pid)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGKILL)
            process.wait()


@dataclass
class Story:
    """What was seen on the way."""

    watched: str
    watcher_code: int
    before: str
    workers: str
    trainer: tuple[int, float] | None
    trainer_after: tuple[int, float] | None
    away: float
    worker_code: int
    pauses: tuple[str, str]


def trainer_of(worker: subprocess.Popen[str]) -> tuple[int, float] | None:
    """Process id and start of what trains below a worker: the child of its fork server."""
    for one in family(worker.pid):
        with contextlib.suppress(psutil.Error):
            parent = one.parent()
            if parent and "forkserver" in " ".join(parent.cmdline()):
                return one.pid, one.create_time()
    return None


def story(team: Team) -> Story:
    desk = team.desk
    desk.write(SPACE.format(data=NUCLEI, epochs=EPOCHS))
    watcher = desk.spawn("start", "space.yaml", *team.options)
    desk.wait_for(lambda: "study served is at" in desk.err())
    before = desk.run("workers", *team.options).stdout
    worker = desk.spawn("worker", *team.options, "--slots", "1", "--work-dir", "elsewhere", "--owner", "김 Ann")
    with team.remote() as remote:
        desk.wait_for(lambda: bool(remote.trials("served")) and bool(remote.epochs("served", 0)), 300)
    workers = team.run("workers")
    trainer = trainer_of(worker)
    watcher.send_signal(signal.SIGINT)
    watcher_code = watcher.wait(timeout=60)
    pauses = team.run("pause"), team.run("resume")
    assert team.server
    since = time.monotonic()
    team.server.terminate()
    assert team.server.wait(timeout=60) == 0
    team.serve()
    away, trainer_after = time.monotonic() - since, trainer_of(worker)
    with team.remote() as remote:
        desk.wait_for(lambda: remote.trials("served")[0].state not in ("running", "waiting"), 300)
    worker.send_signal(signal.SIGINT)
    return Story(
        desk.err(), watcher_code, before, workers, trainer, trainer_after, away, worker.wait(timeout=60), pauses
    )


def story_of(team: Team) -> Story:
    found: Story = team.story  # type: ignore[attr-defined]
    return found


def test_the_training_outlives_its_server(team: Team) -> None:
    """One attempt, by one process, through a restart; the figures of every epoch once.

    Where the machine was so busy that the server came back after most of the lease, the training began again from its
    last checkpoint: a second attempt, and still every epoch once.
    """
    seen = story_of(team)
    in_time = seen.away < LEASE_SECONDS - 3 * HEARTBEAT_SECONDS
    assert seen.trainer and (seen.trainer == seen.trainer_after or not in_time)
    with team.remote() as remote:
        (trial,) = remote.trials("served")
        epochs, attempts = remote.epochs("served", 0), remote.attempts("served", 0)
    assert (trial.state, trial.owner) == ("complete", "김 Ann")
    assert [one.epoch for one in epochs] == list(range(1, EPOCHS + 1))
    assert [one.end for one in attempts] in ([["complete"]] if in_time else [["complete"], ["lost_worker", "complete"]])


def test_ctrl_c_ends_the_watching_only(team: Team) -> None:
    seen = story_of(team)
    assert seen.watcher_code == 130
    assert f"watch it with: sweep status --watch --study served --server {team.url}\n" in seen.watched
    assert seen.worker_code == 130


def test_workers_are_shown(team: Team) -> None:
    seen = story_of(team)
    assert seen.before == "no worker has asked for a trial yet\n"
    head, rule, row = seen.workers.splitlines()[:3]
    assert head.split() == ["worker", "owner", "host", "device", "seen", "trains"]
    assert "김 Ann" in row and "served trial 0" in row and set(rule.strip()) <= {"─", " "}
    # a Korean letter takes two columns
    assert row[: row.index("served trial 0")].count("김") + row.index("served trial 0") == head.index("trains")


def test_what_was_trained_is_shown(team: Team) -> None:
    shown = team.run("trials", "show", "0")
    assert re.search(r"^state +complete$", shown, re.M)
    assert len(re.findall(r"^ *\d+ +0\.\d{10} +\d+ *$", shown, re.M)) == EPOCHS
    assert team.run("rank").splitlines()[1].split()[:2] == ["1", "0"]
    status = team.run("status")
    assert "served" in status and "1 complete" in status
    log = team.run("logs", "0")
    assert "Epoch(train)" in log and team.run("logs", "0", "-f") == log


def test_the_best_is_handed_back(team: Team) -> None:
    team.run("best", "--export", "config", "--out", "best.py")
    text = (team.desk.folder / "best.py").read_text()
    assert text.startswith("# MMDetection config, exported by sweep") and "max_epochs" in text
    assert "김 Ann" in text
    team.run("best", "--export", "checkpoint", "--out", "best.pth")
    assert (team.desk.folder / "best.pth").stat().st_size > 100_000


def test_pause_and_resume(team: Team) -> None:
    paused, resumed = story_of(team).pauses
    assert paused == f"study served is paused; go on with: sweep resume --study served --server {team.url}\n"
    assert resumed == "study served goes on\n"
    nothing = "sweep: study served is finished (everything was tried): there is nothing to pause\n"
    assert team.run("pause", code=1) == nothing


def test_a_study_that_is_there_goes_on_with_another_budget(team: Team) -> None:
    """And is finished at once, since nothing is left of it to try."""
    done = team.desk.run("start", "space.yaml", *team.options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == ["1", "0"]


# what goes wrong is one line


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (("trials", "show", "7"), "sweep: study served has no trial 7\n"),
        (("logs", "7"), "sweep: study served has no trial 7\n"),
        (("trials", "show", "0", "--study", "other"), "sweep: there is no study other; there are: served\n"),
        (("pause", "--study", "other"), "sweep: there is no study other; there are: served\n"),
        (("rank", "--study", "other"), "sweep: there is no study other; there are: served\n"),
        (("status", "--study", "../other"), "sweep: there is no study ../other; there are: served\n"),
        (("trials", "retry", "0"), "sweep: trial 0 is complete: there is nothing to try again\n"),
        (("trials", "cancel", "0"), "sweep: trial 0 has ended\n"),
        (("trials", "cancel", "7"), "sweep: there is no trial 7\n"),
    ],
)
def test_what_is_not_there(team: Team, command: tuple[str, ...], line: str) -> None:
    assert team.run(*command, code=1) == line


COMMANDS = [
    ("workers",),
    ("status",),
    ("rank",),
    ("trials", "show", "0"),
    ("logs", "0"),
    ("pause",),
    ("best", "--export", "params"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_token(team: Team, command: tuple[str, ...]) -> None:
    path = team.desk.folder / "wrong"
    path.write_text("wrong\n")
    done = team.desk.run(*command, "--server", team.url, "--token-file", "wrong")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"sweep: the study server {team.url} refuses this token (SWEEP_TOKEN or --token-file)\n")


def test_a_worker_with_a_wrong_token(team: Team) -> None:
    path = team.desk.folder / "wrong"
    path.write_text("wrong\n")
    done = team.desk.run("worker", "--server", team.url, "--token-file", "wrong", "--slots", "1")
    assert done.returncode == 1
    assert done.stderr.count("the study server refuses this token (SWEEP_TOKEN)") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_no_server_there(team: Team, command: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = team.desk.run(*command, "--server", url, "--token-file", "sweeps.db.token")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sweep: the study server {url} does not answer: [Errno 111] Connection refused\n"


@pytest.mark.parametrize("url", ["", "server", "127.0.0.1:8600", "ftp://server", "http://", "http://[::1"])
def test_an_address_that_is_none(team: Team, url: str) -> None:
    done = team.desk.run("workers", "--server", url or " ", "--token-file", "sweeps.db.token")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1 and "is no address of a study server" in done.stderr


def test_no_token_at_all(team: Team) -> None:
    done = team.desk.run("workers", "--server", team.url)
    assert (done.returncode, done.stderr) == (
        1,
        "sweep: the server's token is needed: set SWEEP_TOKEN, or name a file with --token-file\n",
    )


def test_a_second_server_on_the_same_database(team: Team) -> None:
    assert team.server
    done = team.desk.run("serve", "--port", "0")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        f"sweep: the database sqlite:///sweeps.db is in use: process {team.server.pid} serves it; "
        "end it with: sweep stop\n",
    )


def test_a_start_of_ones_own_on_the_servers_database(team: Team) -> None:
    assert team.server
    done = team.desk.run("start", "space.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        f"sweep: the database sqlite:///sweeps.db is in use: a server (process {team.server.pid}) has it; "
        f"hand the study to that with: sweep start SPACE --server {team.url}"
    )


# the token


def test_no_process_shows_the_token_and_no_file_but_its_own(team: Team) -> None:
    token = (team.desk.folder / "sweeps.db.token").read_text().strip()
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert any("serve" in line for line in lines) and not [line for line in lines if token in line]
    held = {path.name for path in team.desk.folder.rglob("*") if path.is_file() and token.encode() in path.read_bytes()}
    assert held == {"sweeps.db.token", "sweeps.db.run"}
    for name in held:
        assert Path(team.desk.folder, name).stat().st_mode & 0o777 == 0o600


def test_the_server_stops_when_asked(team: Team) -> None:
    """The last test: afterwards there is none."""
    assert team.server
    stopped = team.desk.run("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "the server stopped; go on with: sweep serve\n")
    assert team.server.wait(timeout=30) == 0
    assert runfile.read(f"sqlite:///{team.desk.folder / 'sweeps.db'}") is None
