"""What owns a database outlives it: one that is away for longer than anybody waits ends nothing.

A PostgreSQL server is stopped; an SQLite file is locked by another program.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from locking import Editor
from made_up import ASK, Bench, figure, result
from made_up import run as train
from postgres import Postgres

from results.database import claim, outage
from results.database.outage import AwayError
from results.errors import ClaimedError
from results.store import Store
from runner.paths import TrialPaths
from runner.protocol import EpochReport
from runner.wire.client import Client, ServerTroubleError
from sweeps.access import artifact_store, runfile
from sweeps.artifacts import Place
from sweeps.leases import steps
from sweeps.leases.coordinator import Coordinator
from sweeps.run import run, serve
from sweeps.run.interrupts import Interrupts
from sweeps.run.live import Live
from sweeps.run.run import Plan, run_study
from sweeps.server import housekeeping
from sweeps.server.app import Address, Server, create_app
from sweeps.server.registry import Registry
from sweeps.server.team import Team
from sweeps.study.study import Study

BACK = "the database is back"


@dataclass(frozen=True)
class Trouble:
    """A database that can be sent away, and how people are told.

    Attributes:
        url: None for the SQLite file of the test's folder.
    """

    url: str | None
    begin: Callable[[], object]
    over: Callable[[], object]
    line: str


@pytest.fixture(params=["postgres", "sqlite"])
def trouble(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trouble]:
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        yield Trouble(postgres.database(), postgres.stop, postgres.start, "cannot reach the database ")
        return
    path = tmp_path / "sweeps.db"
    editor = Editor(path)
    yield Trouble(None, editor.begin, editor.over, f"another program has {path} locked; ")
    editor.over()


@pytest.fixture(autouse=True)
def its_own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # the run file
    monkeypatch.setattr(housekeeping, "_LOOK_SECONDS", 0.2)


@pytest.fixture
def bench(tmp_path: Path, trouble: Trouble) -> Bench:
    return Bench(tmp_path, url=trouble.url)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Interrupts()
    for number, handler in before.items():
        signal.signal(number, handler)


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@contextlib.contextmanager
def serving(bench: Bench, team: Team) -> Iterator[threading.Thread]:
    """What `sweep serve` does once it has opened the studies."""
    ended = threading.Event()
    options = serve.ServeOptions(bench.storage, bench.folder, Address(), None, False)
    answering = threading.Thread(target=serve._answer, args=(options, team, "token", ended))
    answering.start()
    try:
        until(lambda: runfile.beside(bench.storage, ".run").exists())
        yield answering
    finally:
        ended.set()
        answering.join()


def test_a_teams_server_goes_on(
    bench: Bench, trouble: Trouble, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "_ROUND_SECONDS", 0.2)  # whatever others wait
    monkeypatch.setattr(steps, "_WAIT_SECONDS", 600.0)

    def told() -> list[str]:
        return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]

    now = [0.0]
    with bench.study() as study:
        team = Team(study.store, bench.storage, bench.folder / "work_dirs")
        team.registry.add(Coordinator(study, clock=lambda: now[0]))
        with serving(bench, team) as answering:
            served = team.registry.study("made_up")
            assert served.lease(ASK).lease
            study.store.patience = 600.0
            trouble.begin()
            now[0] = 60.0  # the lease ends meanwhile, which must be stored
            until(told)
            time.sleep(3 * serve._TICK_SECONDS)  # rounds in vain
            assert answering.is_alive()
            trouble.over()
            until(lambda: BACK in told())
            assert study.row(0).state == "waiting"
            lease = served.lease(ASK).lease
            assert lease and (lease.trial, lease.fence) == (0, 2)
    assert [line.startswith(trouble.line) for line in told()] == [True, False], told()


class Hands:
    """A pool of one worker with made-up figures, which sends the database away in the middle of trial 1."""

    def __init__(self, url: str, token: str, trouble: Trouble, told: list[str]) -> None:
        self.faulty, self.faults = False, list[str]()
        self._url, self._token, self._trouble, self._told = url, token, trouble, told
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        with Client(self._url, self._token) as client:
            while lease := client.lease(ASK).lease:
                for epoch in (1, 2):
                    report = EpochReport(epoch=epoch, metrics={"segm_mAP": figure(lease.trial, epoch)}, seconds=1.0)
                    if (lease.trial, epoch) == (1, 2):
                        self._trouble.begin()
                        with pytest.raises(ServerTroubleError, match=self._trouble.line):
                            client.report(lease, report, patience=0)
                        until(lambda: self._told)
                        self._trouble.over()
                        until(lambda: BACK in self._told)
                    client.report(lease, report)
                client.finish(lease, result())

    def tend(self) -> None:
        return

    def stop(self, polite: bool = True) -> None:
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()


def test_a_run_of_ones_own_goes_on(
    bench: Bench, trouble: Trouble, interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def announce(_: Live, line: str) -> None:
        if line.startswith(trouble.line) or line == BACK:
            told.append(line)

    monkeypatch.setattr(Live, "announce", announce)
    monkeypatch.setattr(run, "_pool", lambda _, url, token: Hands(url, token, trouble, told))
    plan = Plan(
        space=bench.space(), scale="tiny", data=bench.data, storage=bench.storage, work_dir=bench.folder / "work_dirs",
        owner="Ann", workers=1, gpus=(), command="sweep start space.yaml",
    )  # fmt: skip
    with Store.open(bench.storage) as store:
        store.patience = 0.2
        outcome = run_study(plan, store, interrupts)
        assert (outcome.state, outcome.interrupted, outcome.fault) == ("finished", False, None)
        assert [row.state for row in store.trials("made_up")] == ["complete"] * 4
    assert len(told) == 2 and told[1] == BACK, told


def test_heartbeats_are_answered_while_others_wait(
    bench: Bench, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports are refused soon, and taken when the database is back; no worker loses its lease."""
    monkeypatch.setattr(steps, "_WAIT_SECONDS", 0.5)
    registry, now = Registry(), [0.0]
    with bench.study() as study, contextlib.ExitStack() as stack:
        registry.add(coordinator := Coordinator(study, clock=lambda: now[0]))
        url = stack.enter_context(Server(create_app(registry, "token"))).url
        clients = [stack.enter_context(Client(url, "token")) for _ in range(4)]
        leases = [
            client.lease(ASK.model_copy(update={"worker": f"w{number}"})).lease for number, client in enumerate(clients)
        ]
        held = [lease for lease in leases if lease]
        assert len(held) == 4
        trouble.begin()
        now[0] = 20.0

        def report(number: int, patience: float) -> None:
            figures = {"segm_mAP": figure(number, 1)}
            clients[number].report(held[number], EpochReport(epoch=1, metrics=figures, seconds=1.0), patience)

        def refused(number: int) -> None:
            with pytest.raises(ServerTroubleError, match=trouble.line):
                report(number, 0)

        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(refused, number) for number in range(3)]
            while not all(one.done() for one in asked):
                clients[3].heartbeat(held[3])
            for one in asked:
                one.result()
        trouble.over()
        for number in range(3):
            report(number, 20)
        now[0] = 40.0  # a lease lasts 30 s
        coordinator.tick()
        assert sorted(coordinator.progress) == [0, 1, 2, 3]
        assert [len(study.store.epochs("made_up", number)) for number in range(4)] == [1, 1, 1, 0]


def test_a_pause_that_was_refused_has_not_happened(
    bench: Bench, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_WAIT_SECONDS", 0.2)
    with bench.study() as study:
        coordinator = Coordinator(study)
        trouble.begin()
        with pytest.raises(AwayError, match=trouble.line):
            coordinator.pause()
        trouble.over()
        assert coordinator.paused is None
        assert train(coordinator) == [0, 1, 2, 3]


def test_optunas_tables_are_waited_for_no_longer_than_ours(tmp_path: Path) -> None:
    editor = Editor(tmp_path / "sweeps.db")
    with Bench(tmp_path).study() as study:
        study.ask()
        editor.begin()
        began = time.monotonic()
        with pytest.raises(AwayError), outage.waiting_at_most(0.3):
            study.followers.ledger.describe(0, {"owner": "Ann"})
        editor.over()
        assert 0.2 < time.monotonic() - began < 3
        study.followers.ledger.describe(0, {"owner": "Ann"})


def test_a_picture_is_waited_for_no_longer_than_what_comes_with_it(
    bench: Bench, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is handed over by another thread, while heartbeats wait."""
    monkeypatch.setattr(steps, "_WAIT_SECONDS", 0.5)
    with bench.study() as study, artifact_store.opened(study.store, bench.storage) as artifacts:
        coordinator = Coordinator(study)
        study.before_end = lambda number: artifact_store.add_picture(artifacts, study.record, number)
        lease = coordinator.lease(ASK).lease
        assert lease
        picture = TrialPaths.of(lease.work_dir, "made_up", 0).predictions
        picture.parent.mkdir(parents=True)
        picture.write_bytes(b"a picture")
        for epoch in (1, 2):
            coordinator.report(0, 1, EpochReport(epoch=epoch, metrics={"segm_mAP": figure(0, epoch)}, seconds=1.0))
        trouble.begin()
        began = time.monotonic()
        with pytest.raises(AwayError, match=trouble.line):
            coordinator.finish(0, 1, result())
        assert time.monotonic() - began < 10
        trouble.over()
        coordinator.finish(0, 1, result())
        assert study.row(0).state == "complete"
        assert artifacts.find(Place("made_up", 0, picture.name)).size == 9


def test_a_study_that_another_server_had_is_read_anew(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one spent all of its budget."""
    monkeypatch.setattr(claim, "_EACH_SECONDS", 0.2)
    bench = Bench(tmp_path, url=postgres.database())
    with bench.study():
        pass  # begun
    with Store.open(bench.storage) as store, Store.open(bench.storage) as other:
        team = Team(store, bench.storage, bench.folder / "team")
        team.reopen()
        served = team.registry.study("made_up")
        postgres.disconnect()
        other.claim("made_up")
        with serving(bench, team) as answering:
            with pytest.raises(ClaimedError, match="was taken over by another server"):
                served.lease(ASK)
            record = other.study("made_up")
            assert record
            assert train(Coordinator(Study(bench.storage, other, record, bench.space(), bench.data))) == [0, 1, 2, 3]
            other.close()
            until(lambda: team.registry.study("made_up") is not served)
            assert team.registry.lease(ASK).lease is None
            assert team.registry.study("made_up").finished()
            assert answering.is_alive()
