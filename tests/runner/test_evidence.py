"""What a validation leaves of each image gives its figures again, and those of any other choice of images."""

from __future__ import annotations

import contextlib
import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from test_metric import CLASSES, Prediction, disc, random_case, reference, study_figures, write

from results.statistics.evidence import unpack
from results.statistics.perimage import Evidence
from runner.plugins import StudyMetric


def evaluated(path: str, predictions: list[Prediction], kind: str, **options: Any) -> tuple[dict[str, float], Evidence]:
    """The figures of a validation, and its evidence after the way through the packed file."""
    metric = StudyMetric(ann_file=path, metric=["bbox", "segm"], **options)
    figures = study_figures(metric, predictions)
    blob = metric.evidence(kind)
    assert blob is not None
    return figures, unpack(blob)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
@pytest.mark.parametrize("seed", range(4))
def test_every_figure_comes_out_again_to_the_last_digit(tmp_path: Path, seed: int, kind: str) -> None:
    truth, predictions = random_case(seed)  # with crowds, ties, three classes, an image without truth
    options: dict[str, Any] = {"detections": 100, "iou_range": (0.3, 0.6, 0.05)}
    figures, evidence = evaluated(write(tmp_path, truth), predictions, kind, **options)
    names = [name for name in figures if name.startswith(kind) and not name.endswith("AR")]
    assert len(names) == (7 if kind == "segm" else 6)
    assert {name: evidence.figure(name) for name in names} == {name: figures[name] for name in names}
    once = np.ones((2, len(evidence.images)), np.int64)
    for name in names:
        assert evidence.replicates(name, once) == pytest.approx([figures[name]] * 2, rel=0, abs=1e-14)


@pytest.mark.parametrize("cap", [3, 20])
def test_the_cap_of_detections_holds(tmp_path: Path, cap: int) -> None:
    truth, predictions = random_case(7, classes=1)
    path = write(tmp_path, truth)
    assert max(len(p["scores"]) for p in predictions) > 2 * cap
    figures, evidence = evaluated(path, predictions, "segm", detections=cap)
    assert evidence.cap == cap and evidence.found.max() <= cap
    assert evidence.figure("segm_mAP") == figures["segm_mAP"]


def resampled(
    truth: dict[str, Any], predictions: list[Prediction], weights: np.ndarray
) -> tuple[dict[str, Any], list[Prediction]]:
    """The data set with each image as often as its weight says, under new ids."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    found: list[Prediction] = []
    for image, weight in zip(truth["images"], weights.tolist(), strict=True):
        for _ in range(weight):
            number = len(images) + 1
            images.append({**image, "id": number})
            annotations += [
                {**a, "id": len(annotations) + n + 1, "image_id": number}
                for n, a in enumerate(a for a in truth["annotations"] if a["image_id"] == image["id"])
            ]
            found += [{**copy.deepcopy(p), "img_id": number} for p in predictions if p["img_id"] == image["id"]]
    return {**truth, "images": images, "annotations": annotations}, found


@pytest.mark.usefixtures("no_ties")
@pytest.mark.parametrize("name", ["segm_mAP", "segm_mAP_50", "segm_mAP_s"])
def test_a_bootstrap_sample_is_what_pycocotools_says_of_the_copied_data_set(tmp_path: Path, name: str) -> None:
    truth, predictions = random_case(2)
    rng = np.random.default_rng(0)
    for prediction in predictions:  # COCO orders equal scores by the ids that copies happen to get
        prediction["mask_scores"] = rng.random(len(prediction["mask_scores"])).astype(np.float32)
    _, evidence = evaluated(write(tmp_path, truth), predictions, "segm")
    weights = rng.multinomial(6, [1 / 6] * 6, size=12)
    assert weights.max() > 2 and (weights == 0).any()
    ours = evidence.replicates(name, weights)
    for choice, figure in zip(weights, ours, strict=True):
        copied, found = resampled(truth, predictions, choice)
        (tmp_path / "copy").mkdir(exist_ok=True)
        stats = reference(write(tmp_path / "copy", copied), found, "segm").stats
        theirs = stats[{"segm_mAP": 0, "segm_mAP_50": 1, "segm_mAP_s": 3}[name]]
        assert figure == pytest.approx(theirs, rel=0, abs=1e-13)
        assert evidence.figure(name, choice) == pytest.approx(theirs, rel=0, abs=1e-13)
    assert np.ptp(ours) > 0.01


@pytest.fixture
def no_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    """pycocotools adds 2.2e-16 to a precision's denominator; ours and faster-coco-eval's do not."""
    monkeypatch.setattr(np, "spacing", lambda _: 5e-324)


def test_nothing_found_and_no_truth(tmp_path: Path) -> None:
    truth, predictions = random_case(1)
    names = ("bboxes", "scores", "mask_scores", "labels", "masks")
    nothing = [{**p, **{name: p[name][:0] for name in names}} for p in predictions]
    figures, evidence = evaluated(write(tmp_path, truth), nothing, "segm")
    assert evidence.figure("segm_mAP") == figures["segm_mAP"] == 0.0
    without_truth = np.array([[0, 0, 0, 0, 6, 0]])
    assert np.isnan(evidence.replicates("segm_mAP", without_truth)).all()
    assert evidence.figure("segm_mAP", without_truth[0]) is None


def test_a_perfect_detector_scores_one_whatever_the_images(tmp_path: Path) -> None:
    truth, _ = random_case(3)
    truth["annotations"] = [a for a in truth["annotations"] if not a["iscrowd"]]
    found = []
    for image in range(1, 7):
        mine = [a for a in truth["annotations"] if a["image_id"] == image]
        masks = [rle.decode(a["segmentation"]) for a in mine]
        boxes = [(x, y, x + w, y + h) for x, y, w, h in (a["bbox"] for a in mine)]
        found.append({
            "img_id": image, "bboxes": np.array(boxes, np.float32).reshape(-1, 4),
            "scores": np.full(len(mine), 0.9, np.float32), "mask_scores": np.full(len(mine), 0.9, np.float32),
            "labels": np.array([a["category_id"] // 10 - 1 for a in mine], np.int64),
            "masks": [rle.encode(np.asfortranarray(m)) for m in masks],
        })  # fmt: skip
    _, evidence = evaluated(write(tmp_path, truth), found, "segm")
    weights = np.random.default_rng(0).multinomial(6, [1 / 6] * 6, size=50)
    weights = weights[weights[:, :4].sum(axis=1) > 0]
    assert evidence.replicates("segm_mAP", weights) == pytest.approx(1.0, abs=1e-12)


def test_fifty_images_take_tens_of_kilobytes(tmp_path: Path) -> None:
    """100 detections in each of 50 images, scores as a detector gives them."""
    rng = np.random.default_rng(0)
    truth, _ = random_case(0)
    truth["images"] = [{**truth["images"][0], "id": i} for i in range(1, 51)]
    annotations, predictions = [], []
    for image in range(1, 51):
        centres = rng.uniform(20, 236, (12, 2))
        for x, y in centres.tolist():
            code = rle.encode(np.asfortranarray(disc(x, y, 12)))
            text = {"size": code["size"], "counts": code["counts"].decode()}
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": 10, "iscrowd": 0, "segmentation": text,
                "area": float(rle.area(code)), "bbox": rle.toBbox(code).tolist(),
            })  # fmt: skip
        near = centres[rng.integers(0, 12, 100)] + rng.normal(0, 3, (100, 2))
        masks = [rle.encode(np.asfortranarray(disc(x, y, 12))) for x, y in near.tolist()]
        scores = rng.beta(0.5, 2, 100).astype(np.float32)
        boxes = [(x, y, x + w, y + h) for x, y, w, h in (rle.toBbox(m).tolist() for m in masks)]
        predictions.append({
            "img_id": image, "bboxes": np.array(boxes, np.float32), "scores": scores, "mask_scores": scores,
            "labels": np.zeros(100, np.int64), "masks": masks,
        })  # fmt: skip
    truth["annotations"] = annotations
    metric = StudyMetric(ann_file=write(tmp_path, truth), metric=["segm"])
    figures = study_figures(metric, predictions)
    blob = metric.evidence("segm")
    assert blob is not None and unpack(blob).figure("segm_mAP") == figures["segm_mAP"] > 0
    assert len(blob) < 50_000


def test_before_a_validation_there_is_none(tmp_path: Path) -> None:
    truth, predictions = random_case(0)
    metric = StudyMetric(ann_file=write(tmp_path, truth), metric=["segm"])
    assert metric.evidence("segm") is None
    study_figures(metric, predictions)
    assert metric.evidence("segm") is not None and metric.evidence("bbox") is None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        metric.evidence("segm")
    assert printed.getvalue() == "" and metric.dataset_meta == {"classes": CLASSES}
