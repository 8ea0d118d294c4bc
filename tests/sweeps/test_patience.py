"""`budget.patience`: when no gain is likely any more, and how status says why a study ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_up import Bench, run

from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator
from sweeps.space.problems import SpaceErrors
from sweeps.study.stagnation import End, stagnation

RANGE = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 1}
search: {lr: {float: [0.0001, 0.1], log: true}}
sampler: {kind: random}
budget: {patience: 3}
"""


def ends(*scores: float | None) -> list[End]:
    return [End(f"c{n}", score) for n, score in enumerate(scores)]


def test_combinations_since_the_last_rise_are_counted() -> None:
    assert stagnation([]).combinations == 0
    assert stagnation(ends(0.5)).combinations == 0
    assert stagnation(ends(0.5, 0.4, 0.5)).combinations == 2, "an equal score is no gain"
    assert stagnation(ends(0.5, 0.4, 0.6, None, 0.1)).combinations == 2, "what the pruner stopped brought none"
    assert stagnation(ends(None, None)).combinations == 2


def test_a_rise_must_exceed_the_gain_that_is_asked_for() -> None:
    rising = ends(0.50, 0.52, 0.54, 0.56)
    assert stagnation(rising).combinations == 0
    assert stagnation(rising, 0.03).combinations == 1, "0.54 is more than 0.03 above 0.50, 0.56 is not above 0.54"
    assert stagnation(rising, 0.1).combinations == 3


def test_the_noise_between_seeds_is_what_repeats_show_and_means_count() -> None:
    """Deviations 0.01 * sqrt(2) and 0.03 * sqrt(2): pooled sqrt((0.0002 + 0.0018) / 2)."""
    repeated = [End("a", 0.50), End("a", 0.52), End("b", 0.46), End("b", 0.52)]
    found = stagnation([*repeated, End("c", 0.54)])
    assert found.learnt and found.gain == pytest.approx(0.0316228, abs=1e-7)
    assert found.combinations == 2, "0.54 is but 0.03 above the mean of a"
    assert stagnation([*repeated, End("c", 0.55)]).combinations == 0


def test_a_study_ends_without_gain_and_goes_on_when_one_comes(tmp_path: Path) -> None:
    scores = [0.1, 0.2, 0.15, 0.15, 0.15]
    bench = Bench(tmp_path, RANGE)
    with bench.study() as study:
        coordinator = Coordinator(study)
        assert run(coordinator, lambda trial, epoch: scores[trial]) == [0, 1, 2, 3, 4]
        status = coordinator.status()
        assert (status["state"], status["reason"]) == ("finished", "no gain in 3 combinations (budget.patience 3)")
    with bench.study() as study:
        assert study.ask() is None, "a second start counts the same"
    with bench.study("budget.patience=5") as study:
        scores += [0.3, 0.1, 0.1, 0.1, 0.1, 0.1]
        assert run(Coordinator(study), lambda trial, epoch: scores[trial])[-1] == 10


def test_what_has_ended_has_no_trials_left(tmp_path: Path) -> None:
    with Bench(tmp_path, RANGE).study("budget={trials: 100, patience: 3}") as study:
        coordinator = Coordinator(study)
        assert study.trials_left() == 100
        assert run(coordinator, lambda trial, epoch: 0.1) == [0, 1, 2, 3]
        status = coordinator.status()
        assert (status["state"], study.trials_left(), status["eta_seconds"]) == ("finished", 0, 0.0)


def test_close_places_get_their_further_seeds_all_the_same(tmp_path: Path) -> None:
    scores = [0.5, 0.4999, 0.4998, 0.4997]
    with Bench(tmp_path, RANGE).study("repeats={most: 3}", "budget={trials: 60, patience: 3}") as study:
        run(Coordinator(study), lambda trial, epoch: scores[trial] if trial < 4 else 0.4)
        rows = study.store.trials("made_up")
        assert len({row.combination for row in rows[:4]}) == 4
        again = [row for row in rows[4:] if row.combination in {one.combination for one in rows[:4]}]
        assert again and study.end()


def test_a_combination_counts_once_all_its_seeds_have_ended(tmp_path: Path) -> None:
    """Seeds vary slowest in a list: with one seed of each nothing is known of the noise between them."""
    bench = Bench(tmp_path, RANGE)
    with bench.study("search.lr=[0.1, 0.03, 0.01, 0.003, 0.001]", "sampler.kind=auto", "repeats=2") as study:
        scores = [0.5, 0.4, 0.4, 0.4, 0.4, 0.51, 0.41, 0.41, 0.41, 0.41]
        assert run(Coordinator(study), lambda trial, epoch: scores[trial]) == list(range(9))
        assert study.end() == "no gain above 0.007071, the noise between seeds in 3 combinations (budget.patience 3)"


def test_one_lucky_seed_does_not_reach_what_is_asked_for(tmp_path: Path) -> None:
    scores = [0.6, 0.3, 0.55, 0.55]
    with Bench(tmp_path, RANGE).study("repeats=2", "budget={until: 0.5}") as study:
        assert run(Coordinator(study), lambda trial, epoch: scores[trial]) == [0, 1, 2, 3]
        assert study.end() == "segm_mAP 0.5500 has reached budget.until 0.5"


@pytest.mark.parametrize("override", ["repeats={most: 3}", "repeats=1"])
def test_further_seeds_may_show_that_it_was_luck(tmp_path: Path, override: str) -> None:
    """The second combination reaches it with one seed; places are close, and with another one it does not."""
    scores = [0.49, 0.51, 0.3, 0.3, 0.3, 0.3, 0.52]
    with Bench(tmp_path, RANGE).study(override, "budget={trials: 60, until: 0.5}") as study:
        run(Coordinator(study), lambda trial, epoch: scores[min(trial, 6)])
        lucky = study.row(1).combination
        seeds = [row for row in study.store.trials("made_up") if row.combination == lucky]
        assert (len(seeds) > 1) == (override != "repeats=1")


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("budget={trials: 2}", "budget.trials 2 is spent"),
        ("budget={gpu_hours: 0.04}", "budget.gpu_hours 0.04 is spent"),  # a minute each
        ("budget={until: 0.1011}", "segm_mAP 0.1011 has reached budget.until 0.1011"),
        ("budget={patience: 1, gain: 0.5}", "no gain above 0.5 in one combination (budget.patience 1)"),
    ],
)
def test_every_end_says_why(tmp_path: Path, override: str, why: str) -> None:
    with Bench(tmp_path, RANGE).study(override) as study:
        coordinator = Coordinator(study)
        run(coordinator)
        assert coordinator.status()["reason"] == why


def test_a_space_that_is_tried_out_says_so_and_the_database_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bench(tmp_path).study() as study:
        coordinator = Coordinator(study)
        assert coordinator.status()["reason"] is None
        run(coordinator)
        study.set_state("finished", study.end())  # as `sweep start` does at its end
    monkeypatch.chdir(tmp_path)
    assert main(["status", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "everything was tried"
    assert main(["status"]) == 0
    assert "why      everything was tried" in capsys.readouterr().out


def test_patience_is_checked_and_means_little_in_the_order_of_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RANGE)
    assert bench.space().budget.patience == 3
    with pytest.raises(SpaceErrors, match=r"budget\.patience: expected a whole number from 1, found 0"):
        bench.space("budget.patience=0")
    with pytest.raises(SpaceErrors, match=r"budget\.gain: expected patience beside it"):
        bench.space("budget={trials: 3, gain: 0.01}")
    assert bench.space("budget={patience: 3, gain: 0}").budget.gain == 0
    listed = bench.space("search.lr=[0.1, 0.01]", "sampler.kind=auto")
    assert any("patience is for samplers tpe and random" in note for note in listed.notes)
