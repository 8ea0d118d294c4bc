"""A database server that is away for a moment, or loses its answers, changes nothing about a study."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lossy import Lossy
from made_up import ASK, Bench, figure, run
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from postgres import Postgres
from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker

from results.database import claim
from results.database.outage import AwayError
from results.errors import ResultsError
from results.store import Store
from sweeps.leases import steps
from sweeps.leases.coordinator import Coordinator

TWELVE = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 3}
search: {lr: [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008, 0.009, 0.01, 0.011, 0.012]}
"""


@pytest.fixture
def bench(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(steps, "_WAIT_SECONDS", 60.0)  # nobody is here to ask again, as workers do
    return Bench(tmp_path, TWELVE, url=postgres.database())


def is_undisturbed(bench: Bench) -> None:
    """Every trial ended exactly once, with its own figures, in our tables and in Optuna's."""
    with Store.open(bench.storage) as store:
        rows = store.trials("made_up")
        assert [(row.number, row.state, row.score) for row in rows] == [
            (n, "complete", figure(n, 3)) for n in range(12)
        ]
        assert [row.optuna_params["lr"] for row in rows] == [pytest.approx(0.001 * (n + 1)) for n in range(12)]
        for row in rows:
            assert [e.score for e in store.epochs("made_up", row.number)] == [figure(row.number, e) for e in (1, 2, 3)]
            assert [(a.first_epoch, a.last_epoch, a.end) for a in store.attempts("made_up", row.number)] == [
                (1, 3, "complete")
            ]
    trials = [trial for trial in bench.optuna() if trial.state != TrialState.FAIL]
    assert [(t.state, t.value, t.params["lr"]) for t in trials] == [
        (TrialState.COMPLETE, row.score, row.optuna_params["lr"]) for row in rows
    ]
    assert [t.intermediate_values for t in trials] == [{e: figure(n, e) for e in (1, 2, 3)} for n in range(12)]


class Trouble:
    """Does something to the server after every few epochs, from another thread as the world does."""

    def __init__(self, every: int, what: Callable[[], object]) -> None:
        self._every, self._what, self._epochs, self.times = every, what, 0, 0
        self._threads: list[threading.Thread] = []

    def figures(self, trial: int, epoch: int) -> float:
        self._epochs += 1
        if self._epochs % self._every == 0:
            self.times += 1
            self._threads.append(threading.Thread(target=self._what))
            self._threads[-1].start()
        return figure(trial, epoch)

    def over(self) -> None:
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_a_restarted_server_is_waited_for(bench: Bench, postgres: Postgres, how: signal.Signals) -> None:
    trouble = Trouble(13, lambda: postgres.restart(how))
    with bench.study() as study:
        assert run(Coordinator(study), trouble.figures) == list(range(12))
        trouble.over()
    assert trouble.times == 2
    is_undisturbed(bench)


def test_connections_that_are_cut_are_made_again(bench: Bench, postgres: Postgres) -> None:
    trouble = Trouble(1, postgres.disconnect)
    with bench.study() as study:
        assert run(Coordinator(study), trouble.figures) == list(range(12))
        trouble.over()
    is_undisturbed(bench)


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_is_done_twice_where_the_answer_to_a_commit_gets_lost(
    bench: Bench, postgres: Postgres, seed: int
) -> None:
    with bench.study():  # the tables
        pass
    with Lossy(postgres.port, 0.25, seed) as network:
        direct, bench.url = bench.storage, bench.storage.replace(str(postgres.port), str(network.port))
        with bench.study() as study:
            assert run(Coordinator(study)) == list(range(12))
        assert network.lost > 12
        bench.url = direct
    is_undisturbed(bench)


def test_a_server_that_stays_away_is_told_in_one_line(bench: Bench, postgres: Postgres) -> None:
    with bench.study() as study:
        coordinator = Coordinator(study)
        run(coordinator, trials=5)
        study.store.patience = 0.5
        postgres.stop()
        with pytest.raises(ResultsError) as error:
            run(coordinator)
        line = str(error.value)
        assert line.startswith("cannot reach the database postgresql+psycopg://ann:***@127.0.0.1:")
        assert "\n" not in line and "secret" not in line
        postgres.start()
        assert run(coordinator) == list(range(5, 12))
    is_undisturbed(bench)


def test_a_start_goes_on_where_the_server_was_lost(bench: Bench, postgres: Postgres) -> None:
    """The owner gave up in the middle of an ask: nothing is left RUNNING, nothing is tried twice."""
    with bench.study() as study:
        coordinator = Coordinator(study)
        run(coordinator, trials=2)
        study.store.patience = 0.0

        def gone(*arguments: object, **fields: object) -> None:
            raise ResultsError("away")

        study.store.add_trial = gone  # type: ignore[method-assign]
        with pytest.raises(ResultsError, match="away"):
            run(coordinator)
    with bench.study() as study:
        assert run(Coordinator(study)) == list(range(2, 12))
    is_undisturbed(bench)


def test_a_trial_of_which_nobody_heard_that_it_was_made_is_not_made_again(
    bench: Bench, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer got lost, and the database stayed away for longer than the one who asked waited."""
    with bench.study() as study:
        ledger, make = study.followers.ledger, study.followers.ledger._make

        def unheard(*arguments: Any) -> int:
            make(*arguments)
            raise AwayError("the answer got lost")

        monkeypatch.setattr(ledger, "_make", unheard)
        study.store.patience = 0.0
        coordinator = Coordinator(study)
        with pytest.raises(AwayError):
            coordinator.lease(ASK)
        monkeypatch.setattr(ledger, "_make", make)
        assert run(coordinator) == list(range(12))
        assert len(bench.optuna()) == 12
    is_undisturbed(bench)


def test_what_optunas_tables_missed_they_are_told_with_the_next_end(bench: Bench, postgres: Postgres) -> None:
    with bench.study() as study:
        coordinator = Coordinator(study)
        storage = study.followers.ledger._storage
        ledger = study.followers.ledger

        def figures(trial: int, epoch: int) -> float:
            # From trial 4's last epoch on until trial 5 begins, Optuna's connection is to nowhere.
            if (trial, epoch) == (4, 3):
                study.store.patience, ledger._storage = 0.0, nowhere
            return figure(trial, epoch)

        nowhere = RDBStorage(storage.url)
        engine = create_engine(storage.url.replace(str(postgres.port), "1"))
        nowhere.scoped_session = scoped_session(sessionmaker(bind=engine))
        run(coordinator, figures, trials=5)
        assert study.row(4).state == "complete"
        assert bench.optuna()[4].state == TrialState.RUNNING
        study.store.patience, ledger._storage = 60.0, storage
        assert run(coordinator) == list(range(5, 12))
    is_undisturbed(bench)


def test_a_study_has_one_owner_on_all_machines(
    bench: Bench, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "_WAIT_SECONDS", 0.5)
    shown = bench.storage.replace("secret", "***")
    with bench.study() as study:
        coordinator = Coordinator(study)
        run(coordinator, trials=2)
        with pytest.raises(ResultsError) as refused, bench.study():
            pass
        assert str(refused.value) == f"study made_up in {shown} is run by another server; end that one first"
        postgres.restart()  # the claim is taken again
        run(coordinator, trials=2)
        with pytest.raises(ResultsError, match="is run by another server"), bench.study():
            pass
        # while this one was cut off, another one took the study: it must not write any more
        with Store.open(bench.storage) as other:
            postgres.disconnect()
            other.claim("made_up")
            with pytest.raises(ResultsError, match="was taken over by another server"):
                run(coordinator)
    with bench.study() as study:
        assert run(Coordinator(study)) == list(range(4, 12))
    is_undisturbed(bench)
