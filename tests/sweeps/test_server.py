"""The study server as a worker meets it: real HTTP on the loopback address, real coordinator, real database."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from made_up import ASK, READY, Bench, figure, result
from postgres import Postgres

from results.store import Store
from runner.errors import UserError
from runner.protocol import EpochReport, Finish, Lease, LeaseRequest, Renewal
from runner.wire.client import Client, LeaseLostError, ServerTroubleError
from sweeps.access import artifact_store, runfile
from sweeps.access.remote import Remote
from sweeps.access.runfile import RunFile
from sweeps.artifacts import Place
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.registry import Registry
from sweeps.study.study import Study

TOKEN = "the right one"


@dataclass
class Site:
    """A running server of a study that holds nothing yet."""

    bench: Bench
    study: Study
    coordinator: Coordinator
    registry: Registry
    url: str = ""
    told: list[str] = field(default_factory=list)
    time: float = 0.0

    def client(self) -> Remote:
        return Remote(self.url, TOKEN)

    def lease(self, worker: str = "w1") -> Lease:
        with self.client() as client:
            lease = client.lease(LeaseRequest(worker=worker, owner="Ann", device="cpu", ready=READY)).lease
        assert lease
        return lease

    def post(self, path: str, body: Any, token: str | None = TOKEN) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.post(self.url + path, json=body, headers=headers, trust_env=False)

    def state(self) -> list[str]:
        return self.bench.dump()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    bench = Bench(tmp_path)
    with bench.study() as study:
        told: list[str] = []
        coordinator = Coordinator(study, told.append, clock=lambda: site.time)
        site = Site(bench, study, coordinator, Registry(clock=lambda: 1e9 + site.time), told=told)
        site.registry.add(site.coordinator)
        with Server(create_app(site.registry, TOKEN)) as server:
            site.url = server.url
            yield site


def report(epoch: int, trial: int = 0) -> EpochReport:
    return EpochReport(epoch=epoch, metrics={"segm_mAP": figure(trial, epoch)}, seconds=1.0)


# who may


def bodies(lease: Lease) -> dict[str, Any]:
    """What the holder of a lease says about its trial, by path."""
    renewal = Renewal(fence=lease.fence, report=report(1)).model_dump()
    finish = Finish(fence=lease.fence, result=result()).model_dump()
    trial = f"/studies/made_up/trials/{lease.trial}"
    return {
        f"{trial}/heartbeat": renewal,
        f"{trial}/report": renewal,
        f"{trial}/finish": finish,
        f"{trial}/hand_back": renewal,
    }


def test_every_route_takes_the_right_token(site: Site) -> None:
    with site.client() as client:
        lease = site.lease("w1")
        client.heartbeat(lease)
        assert client.report(lease, report(1)).action == "go_on"
        client.hand_back(lease, "no reason", "stopped")
        assert client.status("made_up")["trials"]["waiting"] == 1
        client.finish(site.lease("w1"), result())
    assert site.post("/stop", {}).status_code == 200
    assert site.registry.stopping


@pytest.mark.parametrize("path", ["/redoc", "/", "/trials/0", "/lease", "/studies/made_up/trials/0/../../../stop"])
def test_nothing_else_is_served(site: Site, path: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(site.url + path, headers=headers, trust_env=False).status_code in (404, 405)
    assert httpx.get(site.url + path, trust_env=False).status_code == 401


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/static-offline-docs/swagger-ui-bundle.js", "/workers"])
def test_a_browser_reads_with_the_token_as_password(site: Site, path: str) -> None:
    refused = httpx.get(site.url + path, auth=("ann", "wrong"), trust_env=False)
    assert (refused.status_code, "Basic" in refused.headers["WWW-Authenticate"]) == (401, True)
    assert httpx.get(site.url + path, auth=("ann", TOKEN), trust_env=False).status_code == 200


def test_a_page_of_another_site_changes_nothing(site: Site) -> None:
    """A browser that has the password sends it with whatever a page makes it send."""
    answer = httpx.post(site.url + "/studies/made_up/pause", auth=("ann", TOKEN), trust_env=False)
    assert answer.status_code == 401
    assert site.registry.study("made_up").status()["state"] == "running"


def test_the_sign_of_life_needs_no_token_and_tells_nothing(site: Site) -> None:
    assert httpx.get(site.url + "/health", trust_env=False).json() == {"status": "ok"}


def test_without_the_token_no_body_is_parsed(site: Site) -> None:
    answer = httpx.post(site.url + "/lease", content=b"{not json", trust_env=False)
    assert answer.status_code == 401


def test_a_database_that_fails_is_told_to_worker_and_owner(site: Site) -> None:
    lease = site.lease("w1")
    with sqlite3.connect(site.bench.folder / "sweeps.db") as database:
        database.execute("alter table sweep_epochs rename to elsewhere")
    with site.client() as client, pytest.raises(ServerTroubleError, match="the study server answers 503"):
        client.report(lease, report(1), patience=0)
    assert site.registry.fault is not None and "sweep_epochs" in site.registry.fault


def test_the_client_says_that_a_token_is_refused(site: Site) -> None:
    with Client(site.url, "wrong") as client, pytest.raises(UserError) as refused:
        client.lease(ASK)
    assert str(refused.value) == "the study server refuses this token (SWEEP_TOKEN)"


def test_only_this_machine_reaches_it(site: Site) -> None:
    assert site.url.startswith("http://127.0.0.1:")


# what it takes


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/lease", {"worker": "w", "owner": "o", "device": "cpu", "gpu": 1}),
        ("/lease", {"worker": "w", "owner": "o"}),
        ("/lease", []),
        ("/studies/made_up/trials/0/heartbeat", {"fence": 1, "fences": 2}),
        ("/studies/made_up/trials/0/heartbeat", {"fence": "one"}),
        ("/studies/made_up/trials/zero/heartbeat", {"fence": 1}),
        ("/studies/made_up/trials/0/report", {"fence": 1}),
        ("/studies/made_up/trials/0/report", {"fence": 1, "report": {"epoch": 0, "metrics": {}}}),
        ("/studies/made_up/trials/0/report", {"fence": 1, "report": {"epoch": 1, "metrics": {"segm_mAP": "good"}}}),
        ("/studies/made_up/trials/0/report", {"fence": 1, "report": {"epoch": 1, "metrics": {}, "score": 1.0}}),
        ("/studies/made_up/trials/0/finish", {"fence": 1, "result": {"outcome": "won"}}),
        ("/studies/made_up/trials/0/finish", {"fence": 1, "result": {"outcome": "complete", "score": 1.0}}),
        ("/studies/made_up/trials/0/hand_back", {"fence": 1, "cause": "tired"}),
    ],
)
def test_what_does_not_fit_is_refused(site: Site, path: str, body: Any) -> None:
    assert site.lease().fence == 1
    before = site.state()
    assert site.post(path, body).status_code == 422
    assert site.state() == before


def test_a_trial_from_lease_to_end(site: Site) -> None:
    with site.client() as client:
        lease = site.lease()
        assert (lease.trial, lease.fence, lease.study, lease.detections) == (0, 1, "made_up", 100)
        assert lease.combination.model.name == "mask_rcnn"
        client.report(lease, report(1))
        client.report(lease, report(1))  # the answer got lost: told again
        client.report(lease, report(2))
        client.finish(lease, result())
        with pytest.raises(LeaseLostError, match=r"^trial 0 has ended$"):
            client.finish(lease, result())
        row = site.study.row(0)
        assert (row.state, row.score, row.owner, row.attempts) == ("complete", figure(0, 2), "Ann", 1)
        assert site.lease().trial == 1
        status = client.status("made_up")
        assert (status["state"], status["trials"]["complete"], status["best"]["trial"]) == ("running", 1, 0)
        assert status["workers"] == [{"worker": "w1", "owner": "Ann", "device": "cpu", "trial": 1}]
        assert status["eta_seconds"] == 3 * 60.0
    assert site.told == [
        "trial 0 epoch 1/2 segm_mAP 0.1001",
        "trial 0 epoch 2/2 segm_mAP 0.1002",
        "trial 0 complete segm_mAP 0.1002000000",
    ]


def test_the_last_worker_is_told_to_wait_and_then_to_end(site: Site) -> None:
    with site.client() as client:
        leases = [site.lease(f"w{n}") for n in range(4)]
        other = ASK.model_copy(update={"worker": "w9"})
        reply = client.lease(other)
        assert (reply.lease, reply.wait) == (None, True), "a running trial may come back"
        for lease in leases:
            client.report(lease, report(2, lease.trial))
            client.finish(lease, result())
        reply = client.lease(other)
        assert (reply.lease, reply.wait) == (None, False)
        assert client.status("made_up")["state"] == "finished"


def test_one_trial_is_asked_for_alone(site: Site) -> None:
    site.lease("w1"), site.lease("w2")
    asked: list[str] = []
    with Remote(site.url, TOKEN) as remote:
        remote.http.event_hooks = {"request": [lambda request: asked.append(request.url.path)]}
        assert remote.trial("made_up", 1) == site.study.row(1)
        assert remote.trial("made_up", 2) is None
    assert asked == ["/studies/made_up/trials/1", "/studies/made_up/trials/2"]


def test_the_scores_of_all_epochs_are_one_question(site: Site) -> None:
    with site.client() as client, Remote(site.url, TOKEN) as remote:
        lease = site.lease("w1")
        client.report(lease, report(1))
        client.report(lease, report(2))
        known = site.study.store.scores("made_up")
        assert remote.scores("made_up") == known and list(known[0]) == [1, 2]


def test_after_a_stop_running_trials_still_report_and_nobody_gets_another(site: Site) -> None:
    with site.client() as client:
        lease = site.lease()
        site.registry.stop()
        assert client.lease(ASK.model_copy(update={"worker": "w2"})).lease is None
        client.report(lease, report(1))
        client.hand_back(lease, "the worker was stopped", "stopped")
        assert client.status("made_up")["state"] == "stopped"
    assert [row.state for row in site.study.store.trials("made_up")] == ["waiting"]


# whose lease it is


def test_an_old_fencing_number_is_refused(site: Site) -> None:
    with site.client() as client:
        old = site.lease("w1")
        client.report(old, report(1))
        site.time = 31.0
        site.coordinator.tick()
        assert site.study.row(0).state == "waiting"
        new = site.lease("w2")
        assert (new.trial, new.fence) == (0, 2)
        assert [one.epoch for one in new.reported] == [1]
        before = site.state()
        text = "trial 0 is no longer leased under number 1"
        for path, body in bodies(old).items():
            answer = site.post(path, body)
            assert (answer.status_code, answer.json()) == (409, {"detail": text}), path
        with pytest.raises(LeaseLostError, match=f"^{text}$"):
            client.report(old, report(2))
        assert site.state() == before
        client.report(new, report(2))
    assert "trial 0 goes on after epoch 1" in site.told


def test_a_trial_that_does_not_exist(site: Site) -> None:
    answer = site.post("/studies/made_up/trials/7/heartbeat", {"fence": 1})
    assert (answer.status_code, answer.json()) == (409, {"detail": "there is no trial 7"})


def test_a_lease_lasts_as_long_as_it_is_renewed(site: Site) -> None:
    with site.client() as client:
        lease = site.lease()
        for site.time in (20.0, 40.0, 60.0):
            client.heartbeat(lease)
            site.coordinator.tick()
        site.time = 89.0
        site.coordinator.tick()
        assert site.study.row(0).state == "running"
        site.time = 90.0
        site.coordinator.tick()
        assert site.study.row(0).state == "waiting"
        with pytest.raises(LeaseLostError):
            client.heartbeat(lease)


def test_a_worker_that_asks_again_has_lost_what_it_had(site: Site) -> None:
    old = site.lease("w1")
    new = site.lease("w1")
    assert (old.trial, new.trial) == (0, 0)
    assert (old.fence, new.fence) == (1, 2)
    with site.client() as client, pytest.raises(LeaseLostError, match="no longer leased under number 1"):
        client.finish(old, result())
    assert site.study.row(0).state == "running"


def test_three_deaths_in_a_row_without_a_finished_epoch_end_a_trial(site: Site) -> None:
    death = "the trainer was killed by SIGKILL"
    with site.client() as client:
        for _ in range(2):
            client.hand_back(site.lease(), death, "crashed")
        client.report(lease := site.lease(), report(1))  # a finished epoch: the count begins anew
        client.hand_back(lease, death, "crashed")
        client.hand_back(site.lease(), "the worker was stopped", "stopped")  # no death
        for _ in range(2):
            lease = site.lease()
            assert lease.trial == 0
            client.hand_back(lease, death, "crashed")
        assert site.lease().trial == 1
    row = site.study.row(0)
    assert (row.state, row.attempts) == ("failed", 6)
    assert row.reason == f"{death}, 3 times in a row without a finished epoch"
    assert site.told[-1] == f"trial 0 failed: {row.reason}"


def test_a_fault_of_a_workers_machine_is_no_fault_of_the_server(site: Site) -> None:
    with site.client() as client:
        client.hand_back(site.lease("w1"), "/data: No space left on device", "node_fault")
        unable = {"made_up": "the images are not here"}
        reply = client.lease(LeaseRequest(worker="w1", owner="Ann", device="cpu", unable=unable))
        assert (reply.lease, reply.wait) == (None, False)
    assert site.registry.fault is None
    assert site.study.row(0).state == "waiting"
    assert site.lease("w2").trial == 0


# the run file


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sweeps.db'}"


def test_the_run_file_is_for_its_user_alone_and_goes_with_the_run(storage: str, tmp_path: Path) -> None:
    run = RunFile("http://127.0.0.1:1", "secret", os.getpid(), "made_up")
    assert runfile.read(storage) is None
    lock = runfile.own(storage)
    assert lock
    old = os.umask(0)
    try:
        runfile.write(storage, run)
        runfile.write(storage, run)
    finally:
        os.umask(old)
    path = tmp_path / "sweeps.db.run"
    assert path.stat().st_mode & 0o777 == 0o600
    assert runfile.read(storage) == run
    runfile.remove(storage)
    assert runfile.read(storage) is None
    assert not path.exists()
    lock.release()


def test_a_database_has_one_owner_however_its_file_is_named(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "link.db").symlink_to("sweeps.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    names = [
        storage, f"{storage}?timeout=5", storage.replace("sqlite:", "sqlite+pysqlite:"),
        "sqlite:///../sweeps.db", "sqlite+pysqlite:///../sweeps.db?timeout=5", f"sqlite:///{tmp_path}/link.db",
    ]  # fmt: skip
    for suffix in (".lock", ".run", ".token", ".artifacts", ".incoming"):
        assert {runfile.beside(name, suffix) for name in names} == {tmp_path / f"sweeps.db{suffix}"}
    lock = runfile.own(storage)
    assert lock
    Store.open(storage).close()
    for name in names:
        with Store.open(name, readonly=True):
            assert runfile.own(name) is None
    lock.release()


def test_what_belongs_to_a_database_server_is_found_wherever_its_password_is_kept(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    bench = Bench(tmp_path, url=postgres.database())
    bare = bench.storage.replace("ann:secret@", "ann@")
    assert bare != bench.storage
    place, target = Place("made_up", 0, "train.log"), tmp_path / "copy"
    (tmp_path / "train.log").write_text("a line\n")
    with bench.study() as study, artifact_store.opened(study.store, bench.storage) as artifacts:
        study.ask()
        artifacts.add(place, tmp_path / "train.log")
    monkeypatch.setenv("PGPASSWORD", "secret")
    with Store.open(bare, readonly=True) as store:
        assert artifact_store.copied(store, bare, place, target)
    assert target.read_text() == "a line\n"
    assert runfile.beside("postgresql://db:5432/sweep", ".run") != runfile.beside(
        "postgresql://other:5432/sweep", ".run"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": 1}', "\x00\xff"])
def test_a_broken_run_file_is_none(storage: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "sweeps.db.run").write_bytes(text.encode("latin-1"))
    assert runfile.read(storage) is None


_OWNER = """\
import os, sys, time
from sweeps.access import runfile
lock = runfile.own(sys.argv[1])
assert lock
runfile.write(sys.argv[1], runfile.RunFile("http://127.0.0.1:1", "secret", os.getpid(), "made_up"))
print("ready", flush=True)
time.sleep(60)
"""


def test_the_run_file_of_a_dead_owner_is_ignored(storage: str, tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, storage], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout and owner.stdout.readline() == "ready\n"
        run = runfile.read(storage)
        assert run and run.pid == owner.pid
        assert runfile.own(storage) is None
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.communicate()
    assert json.loads((tmp_path / "sweeps.db.run").read_text())["pid"] == owner.pid
    assert runfile.read(storage) is None
    lock = runfile.own(storage)
    assert lock
    lock.release()


def _own(storage: str, ready: Any, answers: Any) -> None:
    ready.wait()
    lock = runfile.own(storage)
    answers.put(lock is not None)
    ready.wait()  # nobody lets go before all have tried


def test_of_many_that_want_to_own_it_at_once_one_does(storage: str) -> None:
    fork = multiprocessing.get_context("fork")
    ready, answers = fork.Barrier(6), fork.Queue()
    processes = [fork.Process(target=_own, args=(storage, ready, answers)) for _ in range(6)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=20) for _ in processes]
    for process in processes:
        process.join(timeout=20)
    assert sorted(found) == [False] * 5 + [True]


# who works here


def test_a_worker_is_seen_with_every_word_and_forgotten_after_a_day(site: Site) -> None:
    def last_seen() -> dict[str, float]:
        return {one["worker"]: one["seconds_ago"] for one in site.registry.workers()}

    def shown() -> list[str]:
        return [one["worker"] for one in site.coordinator.status()["workers"]]

    lease = site.lease("w1")
    with site.client() as client:
        for hour in range(1, 30):  # it trains for longer than a day
            site.time = 3600.0 * hour
            client.heartbeat(lease) if hour % 2 else client.report(lease, report(hour))
            assert last_seen() == {"w1": 0.0}
            site.time += 60.0
            assert last_seen() == {"w1": 60.0}
        assert shown() == ["w1"]
        site.time += 25 * 3600.0
        with pytest.raises(LeaseLostError):
            site.registry.tick()
            client.heartbeat(lease)  # says nothing of a trial that is its own
        site.lease("w2")
    assert list(last_seen()) == shown() == ["w2"]


def test_who_is_silent_for_as_long_as_a_lease_lasts_does_not_count_as_a_worker(site: Site) -> None:
    """Each start of `sweep worker` has a name of its own: machines that were reset would stay for a day."""

    def shown() -> tuple[list[str], float]:
        status = site.coordinator.status()
        return [one["worker"] for one in status["workers"]], status["eta_seconds"]

    with site.client() as client:
        lease = site.lease("w0")
        client.report(lease, report(1))
        client.report(lease, report(2))
        client.finish(lease, result())  # of 60 s
        leases = [site.lease(worker) for worker in ("w1", "w2", "w3")]
        assert shown() == (["w0", "w1", "w2", "w3"], 3 * 60.0 / 4)
        for seconds in range(5, 45, 5):
            site.time = float(seconds)
            client.heartbeat(leases[0])
            site.registry.tick()
        assert shown() == (["w1"], 3 * 60.0)
        client.report(leases[0], report(1, leases[0].trial))
        assert shown()[0] == ["w1"]
    assert [one["worker"] for one in site.registry.workers()] == ["w0", "w1", "w2", "w3"], "sweep workers says when"
