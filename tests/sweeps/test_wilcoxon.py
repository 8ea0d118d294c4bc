"""The pruner that looks at every image: what is clearly worse ends, what is as good goes on, also after a start."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import optuna
import pytest
from evidence import packed, training
from made_up import ASK, Bench, result
from optuna.trial import TrialState

from results.errors import ResultsError
from results.statistics.perimage import Evidence
from runner.protocol import EpochReport
from sweeps.leases.coordinator import Coordinator
from sweeps.study.evidence import each_image
from sweeps.study.wilcoxon import Wilcoxon

TEXT = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 3}
search:
  backbone: [resnet18, swin_tiny]
  lr: [0.001, 0.002, 0.003]
pruner: {kind: wilcoxon, warmup_epochs: 0}
"""
ENDS = ["complete", "pruned", "complete", "complete", "pruned", "complete"]  # at rates 1, 2, 3 of each backbone


def shown(params: dict[str, float], epoch: int) -> Evidence:
    """ResNet finds twice as much as Swin, the second rate far less than the first, the third as much."""
    quality = (0.5 if params["backbone"] == "resnet18" else -1.5) - 2.0 * (params["lr"] == 0.002)
    return training(round(1000 * params["lr"]) + 10 * epoch, quality)


def trained(bench: Bench, trials: int) -> list[str]:
    with bench.study() as study:
        coordinator = Coordinator(study)
        for _ in range(trials):
            lease = coordinator.lease(ASK).lease
            assert lease and lease.images
            for epoch in range(1, 4):
                found = shown(study.row(lease.trial).optuna_params, epoch)
                report = EpochReport(
                    epoch=epoch, metrics={"segm_mAP": found.figure("segm_mAP")},
                    evidence=base64.b64encode(packed(found)).decode(),
                )  # fmt: skip
                if coordinator.report(lease.trial, lease.fence, report).action == "prune":
                    coordinator.finish(lease.trial, lease.fence, result(outcome="pruned", reason="stopped"))
                    break
            else:
                coordinator.finish(lease.trial, lease.fence, result())
        return [row.state for row in study.store.trials("made_up")]


def test_what_is_worse_on_most_images_ends(tmp_path: Path) -> None:
    assert trained(Bench(tmp_path, TEXT), 6) == ENDS


def test_a_start_knows_the_images_of_the_best(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TEXT)
    assert trained(bench, 1) == ENDS[:1]
    assert trained(bench, 3) == ENDS[:4]
    assert trained(bench, 2) == ENDS


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_other_pruners_ask_for_no_images(tmp_path: Path, pruner: str) -> None:
    with Bench(tmp_path, TEXT).study(f"pruner={{kind: {pruner}}}") as study:
        lease = Coordinator(study).lease(ASK).lease
        assert lease and not lease.images


def test_scores_of_single_images_are_those_of_the_evidence() -> None:
    found = training(1)
    scores = each_image(base64.b64encode(packed(found)).decode(), "segm_mAP")
    assert scores
    for image in (0, 7, 49):
        alone = np.zeros(50, int)
        alone[image] = 1
        assert scores.get(image) == pytest.approx(found.figure("segm_mAP", alone), abs=1e-12)


def test_of_many_images_some_stand_for_all() -> None:
    found = training(1, count=450)
    scores = each_image(base64.b64encode(packed(found)).decode(), "segm_mAP")
    assert scores and len(scores) <= 200 and max(scores) > 440
    image = sorted(scores)[123]
    alone = np.zeros(450, int)
    alone[image] = 1
    assert scores[image] == pytest.approx(found.figure("segm_mAP", alone), abs=1e-12)


@pytest.mark.parametrize("text", ["no base64!", base64.b64encode(b"no evidence").decode()])
def test_what_cannot_be_read_stops_nobody(text: str) -> None:
    assert each_image(text, "segm_mAP") is None


def test_an_end_that_could_not_be_kept_is_told_again(tmp_path: Path) -> None:
    kept, away = list[int](), [True]

    def mark(number: int, key: str, value: object) -> None:
        if away.pop():
            raise ResultsError("the database is away")
        kept.append(number)

    pruner = Wilcoxon(Bench(tmp_path, TEXT).space(), [], {}, mark)
    pruner.begun(0, "ResNet")
    pruner.report(0, 1, 0.5, {1: 0.4, 2: 0.6})
    with pytest.raises(ResultsError):
        pruner.ended(0, TrialState.COMPLETE, 0.5)
    away += [False, False]
    for _ in range(2):
        pruner.ended(0, TrialState.COMPLETE, 0.5)
    assert kept == [0]


def test_a_trial_that_somebody_ended_in_optunas_tables_goes_on_here(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.study("pruner={kind: asha, min_epochs: 1}", "fixed.epochs=9") as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        storage = optuna.storages.RDBStorage(bench.storage)
        (number,) = [trial._trial_id for trial in storage.get_all_trials(storage.get_all_studies()[0]._study_id)]
        storage.set_trial_state_values(number, TrialState.FAIL)
        for epoch in range(1, 10):
            coordinator.report(lease.trial, lease.fence, EpochReport(epoch=epoch, metrics={"segm_mAP": 0.5}))
        coordinator.finish(lease.trial, lease.fence, result())
        assert study.row(0).state == "complete"
