"""After a campaign's stages: their best and the first combination on the images held out, and with further seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigning import ALONE, TWO_STAGES, Bench, score, trained, tried
from evidence import alike, figure
from made_up import data

from results.ranking.confirmation import pick
from results.ranking.stages import held_out
from results.ranking.standings import stand
from results.records import HeldRecord, now
from results.store import Store
from runner.protocol import Holdout
from sweeps.campaign.course import Course
from sweeps.campaign.finals import finals
from sweeps.campaign.show import stages_of, winning
from sweeps.campaign.stages import stage_space
from sweeps.confirm.confirm import begin
from sweeps.leases.coordinator import Coordinator
from sweeps.study.further import Proposal
from sweeps.study.setup import reopened
from sweeps.study.study import Study

Captured = pytest.CaptureFixture[str]


def test_the_end_says_how_to_look_at_the_images_held_out(tmp_path: Path, capsys: Captured) -> None:
    bench = Bench(tmp_path, score)
    bench.start()
    assert "sweep confirm" not in capsys.readouterr().out
    (tmp_path / "held").mkdir()
    held = Holdout(images="/images", annotations="/labels.json", count=3, check="ab" * 32)
    Bench(tmp_path / "held", score, data=data().model_copy(update={"holdout": held})).start()
    assert "sweep confirm --study particles --seeds 3" in capsys.readouterr().out


def test_the_best_and_the_first_of_all_are_compared_on_the_images_held_out(tmp_path: Path, capsys: Captured) -> None:
    """They are trials of two studies; three images of ten particles each, of which so many are found."""
    found = {"cascade_mask_rcnn": 8, "mask_rcnn": 5}
    held = Holdout(images="/images", annotations="/labels.json", count=3, check="ab" * 32)
    bench = Bench(
        tmp_path, score, data=data().model_copy(update={"holdout": held}),
        held=lambda row: alike(found[tried(row, "model")], images=3),
    )  # fmt: skip
    assert bench.start() == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("on 3 images that no trial and no ranking saw, segm_mAP") for line in lines)
    assert any("mask_rcnn, the first of the first stage" in line for line in lines if "  baseline  " in line)
    gap = figure(8) - figure(5)
    assert any(f"winner - baseline  {gap:+.4f}, 95 % {gap:+.4f} to {gap:+.4f}" in line for line in lines)
    assert any(f"promised a gain of +0.2500 over the baseline; {gap:+.4f} is left of it" in line for line in lines)
    with Store.open(bench.storage, readonly=True) as store:
        document = held_out(stages_of(store, "particles"), store.holdout)
        assert document and document.looks == 2 and document.noise is None
        assert {name: len(store.holdout(f"particles.{name}")) for name in ("models", "backbones")} == {
            "models": 1, "backbones": 1,
        }  # fmt: skip


def test_further_seeds_of_the_best_and_the_first_of_all_judge_in_the_end(tmp_path: Path, capsys: Captured) -> None:
    """The best falls behind another one with its new seeds, and stays what was confirmed: the other had luck too."""
    bench = Bench(tmp_path, score)
    bench.start()
    with Store.open(bench.storage, readonly=True) as store:
        sides = finals(store, "particles", 2)
    assert [record.name for record, _ in sides] == ["particles.backbones", "particles.models"]
    for record, side in sides:
        for _ in range(2):  # the second time nothing is owed
            with Store.open(bench.storage) as store:
                space = reopened(record, tmp_path)
                study = Study(bench.storage, store, store.study(record.name) or record, space, bench.data)
                begin(study, side)
                trained(Coordinator(study), lambda row: 0.4)
    assert [(row.seed, tried(row, "model")) for row in bench.rows("models")][3:] == [
        (1, "mask_rcnn"), (2, "mask_rcnn"),
    ]  # fmt: skip
    assert [(row.seed, tried(row, "backbone")) for row in bench.rows("backbones")][2:] == [
        (1, "resnet50"), (2, "resnet50"),
    ]  # fmt: skip
    with Store.open(bench.storage) as store:
        for name, fresh in (("backbones", (2, 3)), ("models", (3, 4))):
            for number in (1 if name == "backbones" else 0, *fresh):
                store.add_holdout(f"particles.{name}", number, alike(8 if number in fresh else 1, images=3))
        stages = stages_of(store, "particles")
        found = held_out(stages, store.holdout)
    assert stages.winner and stages.winner.best
    assert stages.winner.best.mean == pytest.approx((0.55 + 0.4 + 0.4) / 3), "below resnet18's single 0.5"
    assert found and (found.winner.trials, found.baseline.trials) == ((2, 3), (3, 4)), "by seeds that nobody picked"
    assert (found.winner.promised, found.winner.fresh) == (pytest.approx(0.55), pytest.approx(0.4))
    assert found.noise is not None and found.images == 3


def test_further_seeds_count_where_the_best_is_not_of_the_last_stage(tmp_path: Path, capsys: Captured) -> None:
    """Nothing of the last stage is better, so that the best is of the first, whose figures were decided before."""
    bench = Bench(tmp_path, lambda row: score(row) - (0.2 if row.study == "particles.backbones" else 0.0))
    bench.start()
    with Store.open(bench.storage, readonly=True) as store:
        sides = finals(store, "particles", 2)
    assert [record.name for record, _ in sides] == ["particles.models"]
    for record, side in sides:
        with Store.open(bench.storage) as store:
            study = Study(bench.storage, store, record, bench.first(), bench.data)
            begin(study, side)
            trained(Coordinator(study), lambda row: 0.6 if row.seed == 2 else 0.1)
    with Store.open(bench.storage, readonly=True) as store:
        stages = stages_of(store, "particles")
        name, best = winning(store, "particles")
        assert name == "particles.models" and best
        assert [one.number for one in pick(store.trials(name), best=best)] == [5, 1, 3], "the best seed first"
    assert stages.winner and stages.winner.name == "models"
    best, baseline = stages.winner.best, stages.total
    assert best and best.seeds == 3 and best.mean == pytest.approx((0.5 + 0.1 + 0.6) / 3)
    assert baseline and baseline.value == pytest.approx(best.mean - (0.3 + 0.1 + 0.6) / 3)


def test_what_is_confirmed_between_two_stages_decides_with_its_new_seeds(tmp_path: Path) -> None:
    """The best model's new seeds are bad, and nothing else was confirmed: it still leads its stage, with its mean."""
    bench = Bench(tmp_path, score, stop_in="models")
    bench.start()
    bench.stop_in = None
    with Store.open(bench.storage) as store:
        record = store.study("particles.models")
        assert record
        study = Study(bench.storage, store, record, bench.first(), bench.data)
        trained(Coordinator(study), score)
        store.set_state("particles.models", "finished")
    with Store.open(bench.storage, readonly=True) as store:
        [(record, side)] = [one for one in finals(store, "particles", 2) if one[1].combinations]
    with Store.open(bench.storage) as store:
        study = Study(bench.storage, store, record, bench.first(), bench.data)
        begin(study, side)
        trained(Coordinator(study), lambda row: 0.2)
    bench.start()
    with Store.open(bench.storage, readonly=True) as store:
        stages = stages_of(store, "particles")
    assert {tried(row, "model") for row in bench.rows("backbones")} == {"cascade_mask_rcnn"}
    means = [stage.best.mean for stage in stages.stages if stage.best]
    assert means == pytest.approx([(0.5 + 0.2 + 0.2) / 3, 0.55])
    assert [stage.leads for stage in stages.stages] == [True, True]


def test_images_without_such_objects_hide_no_stage(tmp_path: Path, capsys: Captured) -> None:
    held = Holdout(images="/images", annotations="/labels.json", count=3, check="ab" * 32)
    nothing = HeldRecord({}, None, now())
    bench = Bench(tmp_path, score, data=data().model_copy(update={"holdout": held}), held=lambda row: nothing)
    assert bench.start() == 0
    captured = capsys.readouterr()
    assert "has no segm_mAP on the held-out images: they have no such objects" in captured.err
    assert "all stages together: +0.2500" in captured.out


def test_where_nothing_beats_the_first_of_all_the_images_held_out_say_so(tmp_path: Path, capsys: Captured) -> None:
    held = Holdout(images="/images", annotations="/labels.json", count=3, check="ab" * 32)
    bench = Bench(
        tmp_path, lambda row: 0.5 if tried(row, "model") == "mask_rcnn" else 0.1,
        data=data().model_copy(update={"holdout": held}), held=lambda row: alike(5, images=3),
    )  # fmt: skip
    assert bench.start() == 0
    assert "the baseline is the winner: nothing that was confirmed is better" in capsys.readouterr().out


def further(bench: Bench, stage: str, found: float, tries: int = 3) -> None:
    """Seeds of a confirmation, of the combination that came last; they score far better than the first one did."""
    space = bench.read()
    with Store.open(bench.storage) as store:
        record = store.study(f"particles.{stage}")
        assert record
        study = Study(bench.storage, store, record, stage_space(space, stage, Course("tiny"), ALONE), bench.data)
        last = store.trials(record.name)[-1]
        study.order(Proposal(last.optuna_params, seed, last.number) for seed in range(100, 100 + tries))
        trained(Coordinator(study), lambda row: found)
        store.set_state(record.name, "finished", "everything was tried")


def test_a_confirmation_of_a_stage_does_not_lock_the_campaign(tmp_path: Path, capsys: Captured) -> None:
    bench = Bench(tmp_path, score)
    bench.start()
    before, _ = capsys.readouterr()
    further(bench, "models", 0.9)
    with Store.open(bench.storage, readonly=True) as store:
        assert stand(store.trials("particles.models")).standings[0].trials[0] == 2, "solov2 leads its study now"
    bench.ran.clear()
    assert bench.start() == 0
    assert bench.ran == []
    assert capsys.readouterr().out == before.replace("models      3 ", "models      6 "), "six trials, the same winner"


def test_one_before_the_next_stage_counts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, score, stop_in="backbones")
    bench.scores = lambda row: score(row) if tried(row, "backbone") == "resnet18" else 0.0
    bench.text = TWO_STAGES
    first = bench.read()
    with Store.open(bench.storage) as bench.reader:
        bench.run(stage_space(first, "models", Course("tiny"), ALONE))
    further(bench, "models", 0.9)
    bench.stop_in = None
    assert bench.start() == 0
    assert {tried(row, "model") for row in bench.rows("backbones")} == {"solov2"}
