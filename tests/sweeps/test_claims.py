"""Which server may write which study of a PostgreSQL database, where several servers have the same one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from made_up import ASK, Bench
from postgres import Postgres

from results.database import claim
from results.errors import ClaimedError
from results.store import Store
from runner.protocol import Lease
from sweeps.leases.coordinator import Coordinator
from sweeps.run.session import open_study
from sweeps.server.registry import Registry
from sweeps.study.study import Study

NAMES = ("old", "new")


@pytest.fixture
def bench(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(claim, "_WAIT_SECONDS", 0.5)
    return Bench(tmp_path, url=postgres.database())


@contextlib.contextmanager
def served(bench: Bench, now: list[float], names: Sequence[str] = NAMES) -> Iterator[Registry]:
    """Some studies on one server."""
    registry = Registry(stays=True)
    with Store.open(bench.storage) as store:
        for name in names:
            space = bench.space(f"study={name}")
            record = open_study(store, space, "tiny", bench.data, bench.folder / "work_dirs")
            study = Study(bench.storage, store, record, space, bench.data)
            registry.add(Coordinator(study, clock=lambda: now[0]))
        yield registry


def leased(registry: Registry, worker: str) -> Lease:
    reply = registry.lease(ASK.model_copy(update={"worker": worker, "ready": dict.fromkeys(NAMES, "")}))
    assert reply.lease
    return reply.lease


def test_a_study_that_another_server_took_stops_no_other(bench: Bench, postgres: Postgres) -> None:
    now = [0.0]
    with served(bench, now) as registry, Store.open(bench.storage) as other:
        held = {lease.study: lease for lease in (leased(registry, "w1"), leased(registry, "w2"))}
        assert sorted(held) == sorted(NAMES)
        postgres.disconnect()
        other.claim("old")
        store = registry.study("new").study.store
        with pytest.raises(ClaimedError, match=r"study old in .* was taken over by another server"):
            store.set_state("old", "paused")
        store.set_state("new", "paused")
        now[0] = 60.0  # both leases end
        registry.tick()
        assert [store.trials(name)[0].state for name in NAMES] == ["running", "waiting"]
        assert registry.fault and registry.fault.startswith("study old in ") and "\n" not in registry.fault
        for worker in ("w1", "w2"):  # one of them held a trial of the lost study
            assert leased(registry, worker).study == "new"


def test_claims_that_were_cut_are_taken_again_without_a_write(bench: Bench, postgres: Postgres) -> None:
    with served(bench, [0.0]) as registry, Store.open(bench.storage) as other:
        postgres.restart()
        store = registry.study("new").study.store
        store.studies()  # as the server's loop reads
        store.keep_claims()
        for name in NAMES:
            with pytest.raises(ClaimedError, match=f"study {name} in .* is run by another server"):
                other.claim(name)


def test_a_start_that_is_refused_changes_nothing(bench: Bench) -> None:
    with Store.open(bench.storage) as reader, bench.study() as study:
        study.set_state("paused", "by a user")
        before = reader.study("made_up")
        with pytest.raises(ClaimedError, match="is run by another server"), bench.study("budget.trials=2"):
            pass
        assert reader.study("made_up") == before


def test_two_starts_of_a_new_study_make_one(bench: Bench) -> None:
    """The one that is refused has not even added it."""
    with Store.open(bench.storage) as first, Store.open(bench.storage) as second:
        first.claim("made_up")
        with pytest.raises(ClaimedError):
            open_study(second, bench.space(), "tiny", bench.data, bench.folder / "work_dirs")
        assert second.studies() == []


def test_many_studies_take_no_more_connections_than_one(bench: Bench, postgres: Postgres) -> None:
    def connections(studies: int) -> int:
        bench.url = postgres.database()
        database = bench.url.rpartition("/")[2]
        with served(bench, [0.0], [f"study_{number}" for number in range(studies)]) as registry:
            for study in registry.studies():
                assert study.lease(ASK.model_copy(update={"ready": {study.name: ""}})).lease
            found = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
            return int(postgres.sql("postgres", found)[0][0])

    assert connections(1) == connections(8)
