"""``sweep confirm``: further seeds through the study, also after interruptions; test_confirm_real.py scores."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from made_up import ASK, Bench, figure, result, run, train

from results.ranking.confirmation import leader
from results.store import Store
from runner.errors import UserError
from runner.protocol import EpochReport
from sweeps.cli import main
from sweeps.confirm.confirm import Confirm, begin
from sweeps.leases.coordinator import Coordinator
from sweeps.server.housekeeping import Housekeeper
from sweeps.server.registry import Registry
from sweeps.study.study import Study

BEST = Confirm(top=2, seeds=2)
Captured = pytest.CaptureFixture[str]
REPEATED = """\
study: made_up
data: demo
scale: tiny
repeats: 2
fixed: {epochs: 1}
search: {optimizer: {SGD: {lr: {float: [0.001, 0.1], log: true}}, AdamW: {}}}
sampler: {kind: tpe}
budget: {trials: 4}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Four combinations were tried; a later trial is better, so that 3 and 2 are the best and 0 is the baseline."""
    bench = Bench(tmp_path)
    with bench.study() as study:
        run(Coordinator(study))
        study.store.touch_study("made_up", state="finished")
    return bench


def table(study: Study) -> list[tuple[int, int, int]]:
    """(number, trial of the same combination, seed) of the further trials."""
    rows = study.store.trials("made_up")
    first = {row.combination: row.number for row in reversed(rows)}
    return [(row.number, first[row.combination], row.seed) for row in rows if row.number in study.further]


def test_the_best_and_the_baseline_are_trained_with_further_seeds(bench: Bench) -> None:
    with bench.study() as study:
        begin(study, BEST)
        assert study.trials_left() == 6 and study.more_to_try()
        assert run(Coordinator(study)) == [4, 5, 6, 7, 8, 9]
        assert table(study) == [(4, 3, 1), (5, 2, 1), (6, 0, 1), (7, 3, 2), (8, 2, 2), (9, 0, 2)]
        assert Coordinator(study).finished()
    shown = [trial.user_attrs for trial in bench.optuna()[4:]]
    assert [(a["seed"], a["further_seed_of"]) for a in shown] == [(1, 3), (1, 2), (1, 0), (2, 3), (2, 2), (2, 0)]


def test_an_interrupted_one_goes_on_and_a_second_one_has_nothing_to_train(bench: Bench) -> None:
    with bench.study() as study:
        begin(study, BEST)
        run(Coordinator(study), lambda trial, epoch: 0.0, trials=2)
    with bench.study() as study:
        begin(study, BEST)
        assert run(Coordinator(study), lambda trial, epoch: 0.0) == [6, 7, 8, 9]
        assert table(study) == [(4, 3, 1), (5, 2, 1), (6, 0, 1), (7, 3, 2), (8, 2, 2), (9, 0, 2)], (
            "scores that fell did not change the choice"
        )
    with bench.study() as study:
        begin(study, BEST)
        assert not study.more_to_try() and study.ask() is None
        assert len(study.store.trials("made_up")) == 10


def test_the_spaces_own_seeds_are_left_to_the_space(tmp_path: Path) -> None:
    bench = Bench(tmp_path, REPEATED)
    with bench.study("budget.trials=3", "repeats=3") as study:
        run(Coordinator(study))
        begin(study, Confirm(top=1, seeds=2))
        run(Coordinator(study))
    with bench.study("budget.trials=9", "repeats=3") as study:
        assert run(Coordinator(study))
        pairs = [(row.combination, row.seed) for row in study.store.trials("made_up")]
    assert len(set(pairs)) == len(pairs) > 9


def test_its_time_and_scores_are_not_the_budgets(bench: Bench) -> None:
    with bench.study() as study:
        seconds = study._tally.seconds
        begin(study, BEST)
        run(Coordinator(study), lambda trial, epoch: 0.9)
        assert (study._tally.seconds, study._tally.begun) == (seconds, 4)
    with bench.study("budget={until: 0.8}") as study:
        assert (study._tally.seconds, study._tally.begun) == (seconds, 4)
        assert study.end() == "everything was tried", "not until 0.8"


def test_one_that_runs_when_it_ends_is_trained_on_and_not_twice(bench: Bench) -> None:
    with bench.study() as study:
        begin(study, BEST)
        lease = Coordinator(study).lease(ASK).lease
        assert lease and (lease.trial, lease.seed) == (4, 1)
    with bench.study() as study:
        begin(study, BEST)
        run(Coordinator(study))
        assert [row.seed for row in study.store.trials("made_up")] == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_what_was_interrupted_before_waits_until_the_study_goes_on(tmp_path: Path) -> None:
    """Else it would be trained in the confirmation's place, and be news that the confirmation knows nothing of."""
    bench = Bench(tmp_path)
    with bench.study() as study:
        coordinator = Coordinator(study)
        run(coordinator, trials=3)
        assert (lease := coordinator.lease(ASK).lease) and lease.trial == 3
    with bench.study() as study:
        begin(study, BEST)
        coordinator = Coordinator(study)
        assert run(coordinator, lambda trial, epoch: 0.01) == [4, 5, 6, 7, 8, 9]
        assert coordinator.finished() and not coordinator.may_lease() and not coordinator.lease(ASK).wait
        assert study.row(3).state == "waiting"
        trials, kept = study.store.trials("made_up"), study.store.study("made_up")
        assert kept and (best := leader(trials, kept.confirmation)) and best.combination == study.row(2).combination
    with bench.study() as study:
        assert run(Coordinator(study)) == [3]


@pytest.mark.parametrize("text", [None, REPEATED])
def test_a_crash_before_the_row_leaves_no_trial_with_a_wrong_seed(tmp_path: Path, text: str | None) -> None:
    class Crashing(Store):
        def add_trial(self, study: str, number: int, **fields: Any) -> None:
            if fields["seed"] > 1 or (text is None and fields["seed"]):
                raise KeyboardInterrupt
            super().add_trial(study, number, **fields)

    bench = Bench(tmp_path, text) if text else Bench(tmp_path)
    with bench.study() as study:
        run(Coordinator(study))
    with bench.study(store=Crashing) as study, pytest.raises(KeyboardInterrupt):
        begin(study, BEST)
        study.ask()
    assert len(bench.optuna()) == 5
    with bench.study() as study:
        assert len(study.store.trials("made_up")) == 4, "what Optuna's tables began alone was never a trial"
        begin(study, BEST)
        run(Coordinator(study))
        pairs = [(row.combination, row.seed) for row in study.store.trials("made_up")]
        assert len(set(pairs)) == len(pairs) >= 8


def test_seeds_that_the_space_repeats_are_followed_by_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path, REPEATED)
    with bench.study() as study:
        run(Coordinator(study))
    with bench.study() as study:
        begin(study, BEST)
        run(Coordinator(study))
        seeds: dict[str, list[int]] = {}
        for row in study.store.trials("made_up"):
            seeds.setdefault(row.combination, []).append(row.seed)
    assert [sorted(one) for one in seeds.values()] == [[0, 1, 2, 3]] * 2
    assert all("seed" not in trial.params for trial in bench.optuna()[4:]), "nor a proposed seed that was not trained"
    with bench.study("budget.trials=6") as study:  # an ordinary start: they count in no budget of trials
        assert study.trials_left() == 2
        assert run(Coordinator(study)) == [8, 9]


def test_the_budget_and_the_pruner_leave_them_alone(tmp_path: Path) -> None:
    text = Bench(tmp_path).text + "pruner: {kind: median, startup_trials: 1}\nbudget: {trials: 3}\n"
    bench = Bench(tmp_path, text)
    with bench.study() as study:
        run(Coordinator(study))
    with bench.study() as study:
        begin(study, BEST)
        run(Coordinator(study), lambda trial, epoch: 0.001)
        states = [row.state for row in study.store.trials("made_up")]
        assert states[3:] == ["complete"] * 6, "the median would have stopped every one"
    with bench.study("budget.trials=4") as study:
        assert study.trials_left() == 1
        assert run(Coordinator(study)) == [9]


def test_neither_the_pruner_nor_the_sampler_learns_from_them(tmp_path: Path) -> None:
    text = Bench(tmp_path).text.replace("[0.001, 0.0003]", "{float: [0.0001, 0.1], log: true}")
    bench = Bench(
        tmp_path, text + "sampler: {kind: tpe}\npruner: {kind: median, startup_trials: 1}\nbudget: {trials: 3}\n"
    )
    with bench.study() as study:
        run(Coordinator(study))
    with bench.study() as study:
        begin(study, Confirm(top=1, seeds=4))
        assert len(run(Coordinator(study), lambda trial, epoch: 0.9)) == 8
        assert len(study.followers.proposer._sampler._study.trials) == 3
    with bench.study("budget.trials=4") as study:
        assert run(Coordinator(study), lambda trial, epoch: 0.5) == [11]
        assert study.row(11).state == "complete", "0.5 is above what was proposed, below what was ordered"


def test_one_that_failed_is_tried_again_with_its_seed(bench: Bench) -> None:
    with bench.study() as study:
        begin(study, BEST)
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        coordinator.finish(lease.trial, lease.fence, result(outcome="failed", reason="a cable"))
        coordinator.retry(lease.trial)
        again = coordinator.lease(ASK).lease
        assert again and (again.trial, again.seed) == (4, 1)
        train(coordinator, again)
    assert bench.optuna()[5].user_attrs["seed"] == 1


def test_checkpoints_that_will_be_scored_are_kept(bench: Bench) -> None:
    def checkpoints() -> list[int]:
        return sorted(int(path.parent.name) for path in (bench.folder / "work_dirs").rglob("last.pth"))

    def tidy(study: Study) -> None:
        registry = Registry()
        registry.add(Coordinator(study))
        Housekeeper(registry, None).tidy()

    with bench.study("keep=1") as study:
        begin(study, BEST)
        run(Coordinator(study), lambda trial, epoch: 0.0)
        for row in study.store.trials("made_up"):
            folder = bench.folder / "work_dirs" / "made_up" / str(row.number)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "last.pth").write_bytes(b"weights")
        tidy(study)
        assert checkpoints() == [3, 4, 5, 6, 7, 8, 9], "the best of the others, and all that were ordered"
    with bench.study("keep=1") as study:
        tidy(study)
        assert checkpoints() == [3], "afterwards the rules are the ordinary ones"


# the command line


@pytest.fixture
def confirmed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """All seeds that are ordered are trained; the data have nothing held out."""
    with bench.study() as study:
        begin(study, BEST)
        run(Coordinator(study), lambda trial, epoch: figure(trial, epoch) if trial in (5, 8) else 0.0)
        study.store.touch_study("made_up", state="finished")
    monkeypatch.chdir(bench.folder)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    return bench


def test_without_images_held_out_it_says_so(confirmed: Bench, capsys: Captured) -> None:
    assert main(["confirm", "--top", "2", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert "the data have no images held out" in out
    assert "winner: solov2, lr 0.001" in out
    assert main(["confirm", "--top", "2", "--seeds", "2", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["holdout"], len(document["rows"])) == (None, 3)
    first, second, third = document["rows"]
    assert document["winner"] == first["combination"] and (first["fresh_seeds"], first["seeds"]) == (2, 3)
    assert (second["fresh"], third["baseline"]) == (0.0, True)


def test_the_study_is_as_it_was(confirmed: Bench, capsys: Captured) -> None:
    def kept() -> tuple[str, str, dict[str, Any]]:
        with Store.open(confirmed.storage, readonly=True) as store:
            record = store.study("made_up")
            assert record
            return record.state, record.space_text, record.budget

    before = kept()
    assert main(["confirm", "--top", "2", "--seeds", "2"]) == 0
    assert kept() == before and before[0] == "finished"


def test_a_paused_study_is_confirmed_and_stays_paused(confirmed: Bench, capsys: Captured) -> None:
    with Store.open(confirmed.storage) as store:
        store.set_state("made_up", "paused", "somebody sleeps")
    assert main(["confirm", "--top", "2", "--seeds", "2"]) == 0
    with Store.open(confirmed.storage, readonly=True) as store:
        record = store.study("made_up")
        assert record and (record.state, record.reason) == ("paused", "somebody sleeps")


def test_held_out_images_that_changed_are_a_line_before_anything_is_trained(bench: Bench, tmp_path: Path) -> None:
    from runner.data.guard import fingerprint
    from runner.protocol import Holdout

    (tmp_path / "x.png").write_bytes(b"picture")
    labels = tmp_path / "held.json"
    labels.write_text('{"images": [{"file_name": "x.png"}]}')
    held = Holdout(images=str(tmp_path), annotations=str(labels), count=1, check=fingerprint(tmp_path, labels))
    with bench.study() as study:
        study.data = study.data.model_copy(update={"holdout": held})
        (tmp_path / "x.png").write_bytes(b"another picture")
        with pytest.raises(UserError, match="the held-out images changed since the study began"):
            begin(study, BEST)


def test_where_it_trains_and_which_study_it_takes_is_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """No worker comes: what is said stands before anything is trained."""
    monkeypatch.setattr("sweeps.run.run._pool", lambda *_: None)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    bench = Bench(tmp_path)
    for name in ("weeks.models", "weeks.refine"):
        with bench.study(f"study={name}") as study:
            run(Coordinator(study), trials=1)
    said = [
        "study weeks.refine (of 2; --study names another)",
        "study weeks.refine is a stage of campaign weeks; confirm that with: sweep confirm --study weeks",
    ]
    monkeypatch.chdir(tmp_path)
    assert main(["confirm", "--top", "1", "--seeds", "1"]) == 1
    assert capsys.readouterr().err.splitlines()[:-1] == said
    moved = tmp_path / "moved"
    moved.mkdir()
    with (
        contextlib.closing(sqlite3.connect("sweeps.db")) as one,
        contextlib.closing(sqlite3.connect(moved / "sweeps.db")) as other,
    ):
        one.backup(other)
    monkeypatch.chdir(moved)
    assert main(["confirm", "--top", "1", "--seeds", "1"]) == 1
    place = f"study weeks.refine trains in {tmp_path}/work_dirs, as it began, not in {moved}/work_dirs"
    assert capsys.readouterr().err.splitlines()[:-1] == [*said, place]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["confirm", "--top", "0"], 2, "Error: Invalid value for '--top': 0 is not in the range 1<=x<=1000."),
        (["confirm", "--study", "other"], 1, "sweep: there is no study other; there are: made_up"),
    ],
)
def test_mistakes_are_one_line(confirmed: Bench, capsys: Captured, arguments: list[str], code: int, line: str) -> None:
    assert main(arguments) == code
    assert capsys.readouterr().err.splitlines()[-1] == line


def test_without_a_complete_trial_there_is_nothing_to_confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    bench = Bench(tmp_path)
    with bench.study() as study:
        study.ask()
        study.lease(0, 1, "w1", "Ann", "cpu")
        study.report(0, EpochReport(epoch=1, metrics={"segm_mAP": 0.1}))
    monkeypatch.chdir(tmp_path)
    assert main(["confirm"]) == 1
    assert "no trial is complete yet, so there is nothing to confirm" in capsys.readouterr().err
