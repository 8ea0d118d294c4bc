"""The ranking, pure: ties, what is unranked, the baseline, what was tried."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from results.errors import ResultsError
from results.ranking.ranking import BY, rank
from results.ranking.stages import weigh
from results.records import StudyRecord, TrialRecord
from results.tables.captions import captions

TrialMaker = Callable[..., TrialRecord]

ROW_KEYS = [
    *("rank", "trial", "combination", "state", "owner", "model", "backbone", "augmentation", "optimizer"),
    *("params", "seed", "epochs", "score", "segm_mAP", "segm_mAP_50", "segm_mAP_75", "segm_mAP_s"),
    *("segm_mAP_m", "segm_mAP_l", "bbox_mAP", "best_score", "best_epoch", "delta_baseline", "parameters"),
    *("peak_memory_mb", "seconds", "reason", "mean", "seeds", "interval", "group", "seconds_per_image", "front"),
    "adjusted",
]


def places(study: StudyRecord, trials: list[TrialRecord], **options: Any) -> list[tuple[int | None, int]]:
    return [(row.rank, row.trial) for row in rank(study, trials, **options).rows]


def test_equal_scores_share_a_rank_in_trial_order(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [trial_of(n, score) for n, score in enumerate([0.2, 0.5, 0.3, 0.5, 0.1])]
    expected = [(1, 1), (1, 3), (3, 2), (4, 0), (5, 4)]
    for seed in range(5):
        random.Random(seed).shuffle(trials)
        assert places(study, trials) == expected


def test_scores_that_differ_in_the_last_digit_are_no_tie(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [trial_of(0, 0.3), trial_of(1, math.nextafter(0.3, 1))]
    assert places(study, trials) == [(1, 1), (2, 0)]


@pytest.mark.parametrize("score", [None, math.nan, math.inf])
def test_without_a_score_there_is_no_rank(study: StudyRecord, trial_of: TrialMaker, score: float | None) -> None:
    trials = [trial_of(0, score), trial_of(1, 0.4)]
    ranking = rank(study, trials)
    assert places(study, trials) == [(1, 1), (None, 0)]
    assert ranking.rows[1].score is None and ranking.rows[1].delta_baseline is None
    assert ranking.baseline is not None and ranking.baseline.trial == 1


def test_a_score_of_zero_is_ranked(study: StudyRecord, trial_of: TrialMaker) -> None:
    assert places(study, [trial_of(0, 0.0), trial_of(1, -1.0)]) == [(1, 0), (2, 1)]


def test_what_was_stopped_ahead_of_where_the_first_three_were_is_named(
    study: StudyRecord, trial_of: TrialMaker
) -> None:
    trials = [trial_of(n, score) for n, score in enumerate([0.2, 0.5, 0.4, 0.3])]
    stopped = [trial_of(n, 0.1, state="pruned") for n in (4, 5, 6, 7)]
    scores = {
        0: {1: 0.19, 2: 0.2}, 1: {1: 0.0, 2: 0.5}, 2: {1: 0.01, 2: 0.4}, 3: {1: 0.05, 2: 0.3},
        4: {1: 0.05}, 5: {1: 0.06}, 6: {1: 0.06, 2: 0.3},
    }  # fmt: skip
    ranking = rank(study, [*trials, *stopped], scores=scores)
    assert ranking.promising == (5,), "4 is level with one of them, 6 has fallen behind, of 7 nothing is known"
    line = next(line for line in captions(ranking) if line.startswith("stopped"))
    assert line.endswith(": 5; taken up again with: sweep trials retry 5 --study models")
    assert rank(study, [*trials[:2], *stopped], scores=scores).promising == ()


def test_trials_that_are_not_complete_come_last_and_only_if_asked(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [
        trial_of(0, 0.9, state="pruned"),
        trial_of(1, 0.4),
        trial_of(2, None, state="failed", reason="out of memory"),
        trial_of(3, None),
        trial_of(4, None, state="waiting"),
    ]
    assert places(study, trials) == [(1, 1), (None, 3)]
    assert rank(study, trials).hidden == {"pruned": 1, "failed": 1, "waiting": 1}
    everything = rank(study, trials, all_states=True)
    assert [row.trial for row in everything.rows] == [1, 3, 0, 2, 4]
    assert everything.hidden == {}
    pruned = everything.rows[2]
    assert (pruned.rank, pruned.score, pruned.delta_baseline) == (None, 0.9, None)


def test_the_baseline_is_the_complete_trial_with_the_lowest_number(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [trial_of(0, None, state="failed"), trial_of(2, 0.5, model="solov2"), trial_of(1, 0.4)]
    ranking = rank(study, trials)
    assert ranking.document()["baseline"] == {"trial": 1, "score": 0.4, "label": "mask_rcnn"}
    assert [row.delta_baseline for row in ranking.rows] == [0.5 - 0.4, 0.0]
    assert rank(study, []).baseline is None


def test_the_best_row_of_each_value(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [
        trial_of(0, 0.1, model="mask_rcnn", optimizer="SGD", owner="Ann"),
        trial_of(1, 0.4, model="mask_rcnn", optimizer="AdamW", owner="Bo"),
        trial_of(2, 0.3, model="solov2", optimizer="SGD", owner="Ann"),
        trial_of(3, None, model="htc", optimizer="SGD", owner="Cy", state="failed"),
    ]
    assert places(study, trials, by="model") == [(1, 1), (2, 2)]
    assert places(study, trials, by="owner") == [(1, 1), (2, 2)]
    assert places(study, trials, by="augmentation") == places(study, trials, by="schedule") == [(1, 1)]
    assert places(study, trials, by="model", all_states=True) == [(1, 1), (2, 2), (None, 3)]
    baseline = rank(study, trials, by="model").baseline
    assert baseline is not None and baseline.trial == 0
    with pytest.raises(ResultsError) as error:
        rank(study, trials, by="lr")
    assert str(error.value) == f"cannot rank by lr; choose one of: {', '.join(BY)}"


def test_the_document_has_exactly_the_keys_of_the_interface(study: StudyRecord, trial_of: TrialMaker) -> None:
    metrics = {"segm_mAP": 0.1 + 0.2, "segm_mAP_s": math.nan, "segm_mAP@0.3:0.6": 0.7}
    document = rank(study, [trial_of(0, 0.1 + 0.2, metrics=metrics, seconds=math.inf)]).document()
    assert list(document) == [
        *("study", "objective", "direction", "against", "promising", "confirmed", "baseline", "rows", "combinations"),
        *("confidence", "imported"),
    ]
    assert document["confidence"] is None
    assert (document["study"], document["objective"], document["direction"]) == (
        "models",
        "segm_mAP",
        "maximize",
    )
    row = document["rows"][0]
    assert list(row) == ROW_KEYS
    assert row["score"] == row["segm_mAP"] == 0.30000000000000004
    assert row["segm_mAP_s"] is row["segm_mAP_50"] is row["seconds"] is None
    assert row["augmentation"] == ["flip"]
    assert row["params"] == {"optimizer.lr": 0.001, "augmentation.flip.probability": 0.5}
    json.dumps(document, allow_nan=False)


def test_what_differs_is_what_was_tried(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [trial_of(0, 0.4, lr=0.001), trial_of(1, 0.5, lr=0.0123456789)]
    ranking = rank(study, trials)
    assert ranking.varied == ("optimizer.lr",)
    assert [row.label for row in ranking.rows] == ["lr 0.0123457", "lr 0.001"]
    assert ranking.common == {
        "model": "mask_rcnn",
        "backbone": "resnet18",
        "augmentation": "flip",
        "optimizer": "AdamW",
        "epochs": 12,
        "batch_size": 2,
        "image_size": [256, 192],
        "augmentation.flip.probability": 0.5,
    }


def test_defaults_of_another_optimizer_are_not_what_was_tried(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [
        trial_of(0, 0.4, optimizer="SGD", params={"optimizer.lr": 0.02, "optimizer.momentum": 0.9}),
        trial_of(1, 0.5, optimizer="AdamW", params={"optimizer.lr": 0.001}),
    ]
    ranking = rank(study, trials)
    assert ranking.varied == ("optimizer",)
    assert [row.label for row in ranking.rows] == ["AdamW", "SGD"]
    assert not any(name.startswith("optimizer") for name in ranking.common)


def test_a_parameter_searched_for_one_optimizer_only(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [
        trial_of(0, 0.4, optimizer="SGD", params={"optimizer.lr": 0.02}),
        trial_of(1, 0.5, optimizer="SGD", params={"optimizer.lr": 0.05}),
        trial_of(2, 0.6, optimizer="SGD", params={}),
    ]
    ranking = rank(study, trials)
    assert ranking.varied == ("optimizer.lr",)
    assert [row.label for row in ranking.rows] == ["as the model's own", "lr 0.05", "lr 0.02"]


def test_settings_and_config_paths_that_differ(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [trial_of(n, 0.4, params={"train_cfg.max_iters": 5 + n}) for n in range(2)]
    other = {**trials[1].parts, "settings": {**trials[1].parts["settings"], "image_size": [512, 384]}}
    trials[1] = replace(trials[1], parts=other)
    ranking = rank(study, trials)
    assert ranking.varied == ("image_size", "train_cfg.max_iters")
    assert ranking.rows[1].label == "image_size 512x384, train_cfg.max_iters 6"


def rescued(trial: TrialRecord) -> TrialRecord:
    """The trial, had it run out of memory with its batch of 2 and trained with half of it."""
    return replace(trial, adjusted={"batch_size": 1, "accumulate": 2})


def test_what_ran_out_of_memory_keeps_its_name_and_a_line_says_what_it_trained_with(
    study: StudyRecord, trial_of: TrialMaker
) -> None:
    trials = [
        trial_of(0, 0.4, seed=0, combination="a"),
        rescued(trial_of(1, 0.5, seed=1, combination="a")),
        rescued(trial_of(2, 0.6, model="solov2")),
        rescued(trial_of(3, None, model="htc", state="infeasible")),
    ]
    ranking = rank(study, trials)
    assert ranking.varied == ("model", "seed")
    assert [(row.what, row.mean, row.adjusted) for row in ranking.rows] == [
        ("solov2", 0.6, {"batch_size": 1, "accumulate": 2}),
        ("mask_rcnn", 0.45, {"batch_size": 1, "accumulate": 2}),
        ("mask_rcnn", 0.45, None),
    ]
    lines = captions(ranking)
    assert lines[1].startswith("all with: ") and "batch_size 2" in lines[1]
    assert lines[2] == "trials 1, 2 ran out of memory with batch_size 2 and trained with 1, accumulated 2"
    assert not any("out of memory" in line for line in captions(rank(study, trials[:1])))


def test_a_batch_size_that_is_searched_names_the_combination(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [trial_of(n, 0.4 + n / 10) for n in range(2)]
    settings = {**trials[1].parts["settings"], "batch_size": 4}
    larger = replace(trials[1], parts={**trials[1].parts, "settings": settings})
    ranking = rank(study, [trials[0], replace(larger, adjusted={"batch_size": 2, "accumulate": 2})])
    assert [row.label for row in ranking.rows] == ["batch_size 4", "batch_size 2"]
    assert "trial 1 ran out of memory with batch_size 4 and trained with 2, accumulated 2" in captions(ranking)


def test_a_stage_says_what_its_best_was_trained_with(study: StudyRecord, trial_of: TrialMaker) -> None:
    stages = weigh("weeks", [(study, [rescued(trial_of(0))])], lambda name, numbers: {}).document()["stages"]
    settings = stages[0]["parts"]["settings"]
    assert (settings["batch_size"], settings["accumulate"], settings["epochs"]) == (1, 2, 12)


def test_all_images_are_said_beside_a_share_of_them(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [trial_of(n, 0.4 - n / 10, combination=f"{n:08x}") for n in range(2)]
    settings = {**trials[1].parts["settings"], "train_share": 0.25}
    trials[1] = replace(trials[1], parts={**trials[1].parts, "settings": settings})
    ranking = rank(study, trials)
    assert ranking.varied == ("train_share",)
    assert [row.label for row in ranking.rows] == ["train_share 1", "train_share 0.25"]
    assert "train_share" not in rank(study, trials[:1]).common


def test_the_seed_is_named_only_where_a_combination_is_repeated(study: StudyRecord, trial_of: TrialMaker) -> None:
    different = [trial_of(n, 0.4, seed=n, model=model) for n, model in enumerate(["mask_rcnn", "solov2"])]
    assert rank(study, different).varied == ("model",)
    repeated = [trial_of(n, 0.4, seed=n, combination="abcdef01") for n in range(2)]
    assert [row.label for row in rank(study, repeated).rows] == ["seed 0", "seed 1"]


def test_a_single_trial_is_called_by_its_model(study: StudyRecord, trial_of: TrialMaker) -> None:
    ranking = rank(study, [trial_of(0)])
    assert ranking.rows[0].label == "mask_rcnn"
    assert ranking.best == ranking.rows[0]
    assert rank(study, [trial_of(0, state="failed")]).best is None


def test_no_augmentation_is_called_none(study: StudyRecord, trial_of: TrialMaker) -> None:
    trial = trial_of(0)
    bare = replace(trial, number=1, parts={**trial.parts, "augmentation": []})
    ranking = rank(study, [trial, bare])
    assert ranking.varied == ("augmentation",)
    assert [row.label for row in ranking.rows] == ["flip", "none"]
    assert ranking.rows[1].augmentation == []
