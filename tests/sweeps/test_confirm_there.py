"""``sweep confirm --server``: further seeds through a real server over HTTP; beside it a thread works as workers do.

Real checkpoints are scored in tests/sweeps/campaign/test_campaign_trainings.py.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from evidence import alike
from made_up import ASK, Bench, Figures, data, figure, run, train

from results.records import FINAL, HeldRecord, now
from results.store import Store
from runner.data.guard import fingerprint
from runner.errors import UserError
from runner.protocol import Holdout
from sweeps.access.remote import Remote
from sweeps.cli import main
from sweeps.confirm import heldout
from sweeps.confirm.confirm import Confirm, confirm_there
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.registry import Registry
from sweeps.server.team import Team
from sweeps.study.study import Study

Captured = pytest.CaptureFixture[str]
FURTHER = ("confirm", "--top", "2", "--seeds", "2")


@dataclass
class There:
    """A server that has a study, and how to talk to it."""

    url: str
    coordinator: Coordinator
    remote: Remote

    @property
    def study(self) -> Study:
        return self.coordinator.study

    def confirm(self, *more: str) -> int:
        return main([*FURTHER, "--server", self.url, *more])


@contextlib.contextmanager
def serving(study: Study) -> Iterator[There]:
    coordinator, registry = Coordinator(study), Registry(stays=True)
    registry.add(coordinator)
    with Server(create_app(registry, "secret")) as server, Remote(server.url, "secret") as remote:
        yield There(server.url, coordinator, remote)


@contextlib.contextmanager
def working(there: There, figures: Figures = figure) -> Iterator[None]:
    """Trains whatever is given out."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            run(there.coordinator, figures, trials=1)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("SWEEP_TOKEN", "secret")
    monkeypatch.setattr("sweeps.access.watch._POLL_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)


def seeds(study: Study) -> list[tuple[int, int]]:
    """(number, seed) of what was ordered."""
    return [(row.number, row.seed) for row in study.store.trials("made_up") if row.number in study.further]


def test_its_workers_train_the_seeds_and_it_shows_what_a_database_would(bench: Bench, capsys: Captured) -> None:
    with bench.study() as study, serving(study) as there:
        run(there.coordinator)
        with working(there):
            assert there.confirm("--format", "json") == 0
            over_http = json.loads(capsys.readouterr().out)
            assert there.confirm("--format", "json") == 0, "nothing is left to train"
            assert json.loads(capsys.readouterr().out) == over_http
        assert seeds(study) == [(4, 1), (5, 1), (6, 1), (7, 2), (8, 2), (9, 2)]
    assert main([*FURTHER, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == over_http
    assert over_http["holdout"] is None and len(over_http["rows"]) == 3


def test_a_study_that_runs_goes_on_with_its_search_once_the_seeds_have_ended(bench: Bench) -> None:
    with bench.study() as study, serving(study) as there:
        run(there.coordinator, trials=2)
        held = there.coordinator.lease(ASK).lease
        assert held and held.trial == 2
        there.coordinator.confirm(top=1, seeds=1)
        second = there.coordinator.lease(ASK.model_copy(update={"worker": "w2"})).lease
        assert second and (second.trial, second.seed) == (3, 1), "not the fourth combination"
        train(there.coordinator, held)
        assert run(there.coordinator) == [4], "the other seed; the first is being trained"
        assert study.ordered and there.coordinator.status()["state"] == "running"
        train(there.coordinator, second)
        assert not study.ordered
        assert run(there.coordinator) == [5]
        assert [row.seed for row in study.store.trials("made_up")] == [0, 0, 0, 1, 1, 0]
        assert there.coordinator.finished()


def test_a_server_that_began_anew_goes_on_with_the_order_and_then_with_its_search(tmp_path: Path) -> None:
    """Trials that had begun before the order end meanwhile: the order stands, and no seed is trained twice."""
    bench = Bench(tmp_path)
    with bench.study() as study:
        coordinator = Coordinator(study)
        run(coordinator, trials=2)
        held = coordinator.lease(ASK).lease
        coordinator.confirm(top=1, seeds=2)
        assert held and run(Coordinator(study), trials=0) == []
        train(coordinator, held)
        coordinator.confirm(top=1, seeds=2)
        assert run(coordinator, trials=1) == [3]
        begun = coordinator.lease(ASK).lease
        assert begun and (begun.trial, begun.seed) == (4, 1)
    with Store.open(bench.storage) as store:
        team = Team(store, bench.storage, tmp_path / "work_dirs")
        team.reopen()
        coordinator = team.registry.study("made_up")
        assert coordinator.study.ordered
        coordinator.confirm(top=1, seeds=2)
        coordinator.tick()
        coordinator.left(ASK.worker)
        assert run(coordinator) == [4, 5, 6, 7] and coordinator.finished()
        assert [row.seed for row in store.trials("made_up")] == [0, 0, 0, 1, 1, 2, 2, 0]
    with bench.study() as study:
        study.take_up_order()
        assert not study.ordered, "it has come to its end"


def test_a_worker_shows_its_data_before_it_gets_a_seed_that_was_lost(bench: Bench) -> None:
    """However many trials of the search still train."""
    with bench.study() as study, serving(study) as there:
        run(there.coordinator, trials=1)
        others = [there.coordinator.lease(ASK.model_copy(update={"worker": f"w{n}"})).lease for n in range(3)]
        there.coordinator.confirm(top=1, seeds=1)
        assert there.coordinator.lease(ASK).lease and all(others)
        there.coordinator.left(ASK.worker)
        assert there.coordinator.may_lease()
        assert there.remote.lease(ASK.model_copy(update={"ready": {}})).needs


def test_seeds_that_fail_are_not_waited_for(bench: Bench, capsys: Captured) -> None:
    with bench.study() as study, serving(study) as there:
        run(there.coordinator)
        with working(there, lambda trial, epoch: None):
            assert there.confirm() == 0
        assert {row.state for row in study.store.trials("made_up")[4:]} <= set(FINAL) - {"complete"}


def test_what_cannot_be_confirmed_is_one_line(bench: Bench, capsys: Captured) -> None:
    def refused(*more: str, code: int = 1) -> str:
        assert there.confirm(*more) == code
        return capsys.readouterr().err.splitlines()[-1]

    with bench.study() as study, serving(study) as there:
        assert "no trial is complete yet, so there is nothing to confirm" in refused()
        run(there.coordinator)
        assert "--workers and --owner belong to a confirmation without --server" in refused("--workers", "2", code=2)
        assert not study.ordered and study.kept_order() is None
        there.coordinator.pause()
        assert refused() == "study made_up is paused: not all seeds are trained; the same line goes on"
        assert refused("--seeds", "5") == (
            "sweep: study made_up is being confirmed already (top 2, seeds 2); wait until that has ended"
        )
        there.coordinator.resume()
        with working(there):
            assert there.confirm() == 0
        there.coordinator.pause()
        assert there.confirm() == 0, "what is confirmed is shown, whether the study is paused or not"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"top": 0, "seeds": 1}, 422),
        ({"top": 1, "seeds": 10**9}, 422),
        ({"top": 1, "seeds": 1, "only": ["no such combination"]}, 400),
        ({"top": 1, "seeds": 1, "only": ["a", "b", "c"]}, 422),
    ],
)
def test_a_server_believes_no_order(bench: Bench, body: dict[str, object], status: int) -> None:
    with bench.study() as study, serving(study) as there:
        run(there.coordinator)
        assert there.remote.http.post("/studies/made_up/confirmation", json=body).status_code == status
        assert not study.ordered


# images held out


def with_images(folder: Path) -> Holdout:
    (folder / "x.png").write_bytes(b"picture")
    labels = folder / "held.json"
    labels.write_text('{"images": [{"file_name": "x.png"}]}')
    return Holdout(images=str(folder), annotations=str(labels), count=20, check=fingerprint(folder, labels))


def test_scores_on_images_held_out_are_kept_once_and_only_readable_ones(bench: Bench) -> None:
    first, second = alike(8), alike(5)
    with bench.study() as study, serving(study) as there:
        run(there.coordinator, trials=1)
        there.remote.add_holdout("made_up", 0, first)
        there.remote.add_holdout("made_up", 0, second)
        assert there.remote.holdout("made_up") == study.store.holdout("made_up") == {0: first}
        with pytest.raises(UserError, match="trial 1 is not complete"):
            there.remote.add_holdout("made_up", 1, first)
        run(there.coordinator, trials=1)
        with pytest.raises(UserError, match="a trial's evidence is damaged"):
            there.remote.add_holdout("made_up", 1, HeldRecord({}, b"no evidence", now()))


def test_the_images_are_looked_for_before_anything_is_trained(bench: Bench, capsys: Captured) -> None:
    bench.data = data().model_copy(update={"holdout": with_images(bench.folder)})
    with bench.study() as study, serving(study) as there:
        run(there.coordinator)
        (bench.folder / "x.png").write_bytes(b"another picture")
        assert there.confirm() == 1
        assert "the held-out images changed since the study began" in capsys.readouterr().err
        assert not study.ordered


def test_code_of_a_study_does_not_travel_from_its_server(bench: Bench) -> None:
    bench.data = data().model_copy(update={"holdout": with_images(bench.folder)})
    with bench.study() as study, serving(study) as there:
        run(there.coordinator)
        record = replace(study.record, identity={**study.record.identity, "plugins": {"mine": "ab" * 32}})
        with pytest.raises(UserError, match=r"brings code of its own \(mine\), which is needed to score"):
            confirm_there(there.remote, record, Confirm(top=2, seeds=2), ())
        assert not study.ordered


@pytest.mark.parametrize("change", [{"config": {"+hook": {"type": "os.system"}}}, {"model": {"name": "mine"}}])
def test_what_a_server_makes_up_is_not_scored_here(bench: Bench, change: dict[str, object]) -> None:
    """Its config would be a program."""
    bench.data = data().model_copy(update={"holdout": with_images(bench.folder)})
    with bench.study() as study, serving(study) as there:
        run(there.coordinator)
        row = study.row(0)
        made_up = replace(row, parts={**row.parts, **change})
        with pytest.raises(UserError, match="trial 0 of study made_up is not scored here: "):
            heldout.Scorer(there.remote, "", ()).score(study.record, (), [made_up])
        with pytest.raises(UserError, match="is none of this version of sweep"):
            heldout.trained(replace(study.record, name="../../made_up"), (), row)


def test_a_checkpoint_that_is_on_no_server_is_told(bench: Bench, capsys: Captured) -> None:
    bench.data = data().model_copy(update={"holdout": with_images(bench.folder)})
    with bench.study() as study, serving(study) as there:
        run(there.coordinator)
        heldout.Scorer(there.remote, "", ()).score(study.record, (), [study.row(0)])
    assert capsys.readouterr().err == "trial 0 of study made_up is not scored: its checkpoint is gone\n"
