"""A real training leaves evidence of the epoch that has the score, also when it is taken up again."""

from __future__ import annotations

import base64
from pathlib import Path
from statistics import median

import pytest
from trainers import trainer
from trials import combination, lease, part

from results.statistics.evidence import unpack
from runner.paths import TrialPaths
from runner.plugins.checkpoint import read_evidence
from runner.protocol import EpochReport, Lease, Objective, Result


def train(held: Lease) -> tuple[list[EpochReport], Result]:
    with trainer(held) as started:
        note = started.end()
        reports = [one.report for one in started.notes if one.report]
    assert note.result and note.result.outcome == "complete"
    return reports, note.result


def figure(result: Result, metric: str = "segm_mAP") -> float | None:
    assert result.evidence
    return unpack(base64.b64decode(result.evidence)).figure(metric)


@pytest.mark.parametrize("at", ["last", "best"])
def test_the_evidence_is_that_of_the_score(tmp_path: Path, at: str) -> None:
    optimizer = part("optimizer", "AdamW")
    what = combination("mask_rcnn", "resnet18", epochs=3, image_size=[256, 256], batch_size=2, optimizer=optimizer)
    held = lease(tmp_path, what, objective=Objective(at=at))
    reports, result = train(held)
    scores = [report.metrics["segm_mAP"] for report in reports]
    assert len(scores) == 3
    wanted = scores[-1] if at == "last" else max(score for score in scores if score is not None)
    assert wanted and figure(result) == wanted, "it must have learnt something, or equality says nothing"
    took = [report.seconds_per_image for report in reports]
    assert all(took) and result.seconds_per_image == median(one for one in took if one)
    assert result.seconds_per_image * 4 < min(report.seconds for report in reports), "inference is a part of an epoch"
    if at == "last":  # the finish got lost: told again by an attempt that trains nothing more
        kept = read_evidence(TrialPaths.of(held.work_dir, held.study, held.trial).last)
        again = held.model_copy(update={"reported": tuple(reports), "fence": 2})
        more, repeated = train(again)
        assert not more and kept and base64.b64decode(repeated.evidence or "") == kept
        assert repeated.seconds_per_image == result.seconds_per_image
        assert figure(repeated, "segm_mAP_50") == reports[-1].metrics["segm_mAP_50"]
