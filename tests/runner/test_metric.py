"""StudyMetric against pycocotools: the same figures to the last digit."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from trials import combination, paths

from runner.plugins import StudyMetric
from runner.protocol import Objective
from runner.render import render

SIZE = 256  # pixels, height and width
NAMES = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
CLASSES = ("ring", "speck", "debris")
Prediction = dict[str, Any]


def disc(x: float, y: float, radius: float, size: int = SIZE) -> np.ndarray:
    rows, columns = np.ogrid[:size, :size]
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).astype(np.uint8)


def encode(mask: np.ndarray) -> dict[str, Any]:
    return rle.encode(np.asfortranarray(mask))


def annotation(number: int, image: int, category: int, mask: np.ndarray, crowd: bool = False) -> dict[str, Any]:
    code = encode(mask)
    text = {"size": code["size"], "counts": code["counts"].decode()}
    return {
        "id": number, "image_id": image, "category_id": category, "iscrowd": int(crowd), "segmentation": text,
        "area": float(rle.area(code)), "bbox": rle.toBbox(code).tolist(),
    }  # fmt: skip


def prediction(image: int, found: list[tuple[int, float, float, np.ndarray]]) -> Prediction:
    """What a detector gives for an image; `found`: (label, score, mask score, mask)."""
    masks = [encode(m) for *_, m in found]
    boxes = [(x, y, x + w, y + h) for x, y, w, h in (rle.toBbox(m).tolist() for m in masks)]
    return {
        "img_id": image,
        "bboxes": np.array(boxes, dtype=np.float32).reshape(-1, 4),
        "scores": np.array([score for _, score, _, _ in found], dtype=np.float32),
        "mask_scores": np.array([score for _, _, score, _ in found], dtype=np.float32),
        "labels": np.array([label for label, *_ in found], dtype=np.int64),
        "masks": masks,
    }


def random_case(seed: int, per_image: int = 40, classes: int = 3) -> tuple[dict[str, Any], list[Prediction]]:
    """Six images; the fifth has no truth, in the sixth nothing is found; some truths are crowds."""
    rng = np.random.default_rng(seed)
    annotations, predictions = [], []
    for image in range(1, 7):
        found = []
        for _ in range(per_image):
            x, y, radius = *rng.uniform(10, SIZE - 10, 2), rng.choice([6, 12, 20, 60, 70])
            label = int(rng.integers(classes))
            if image != 5:
                crowd = bool(rng.random() < 0.08)
                mask = disc(x, y, radius)
                annotations.append(annotation(len(annotations) + 1, image, 10 * (label + 1), mask, crowd))
            for _ in range(int(rng.integers(0, 4))):  # missed, found, or found more than once
                shift = rng.normal(0, 0.12 * radius, 2)
                guess = label if rng.random() < 0.9 else int(rng.integers(classes))
                # few different scores, so that ties are there too
                score, other = np.round(rng.random(2), 2)
                mask = disc(x + shift[0], y + shift[1], radius * rng.uniform(0.8, 1.2))
                found.append((guess, float(score), float(other), mask))
        predictions.append(prediction(image, [] if image == 6 else found))
    return truth_file(annotations, range(1, 7)), predictions


def truth_file(annotations: list[dict[str, Any]], images: Any, size: int = SIZE) -> dict[str, Any]:
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": size, "height": size} for i in images],
        "categories": [{"id": 10 * (i + 1), "name": name} for i, name in enumerate(CLASSES)],
        "annotations": annotations,
    }


def write(folder: Path, truth: dict[str, Any]) -> str:
    path = folder / "truth.json"
    path.write_text(json.dumps(truth))
    return str(path)


def study_figures(metric: CocoMetric, predictions: list[Prediction]) -> dict[str, float]:
    """Through the metric's own process, as the validation loop calls it."""
    metric.dataset_meta = {"classes": CLASSES}
    for found in predictions:
        instances = {k: torch.as_tensor(found[k]) for k in ("bboxes", "scores", "labels", "mask_scores")}
        if "mask_scores" not in found:
            instances.pop("mask_scores")
        found_here = instances | {"masks": found["masks"]}
        metric.process({}, [{"img_id": found["img_id"], "ori_shape": (SIZE, SIZE), "pred_instances": found_here}])
    with contextlib.redirect_stdout(io.StringIO()):
        figures: dict[str, float] = metric.evaluate(len(predictions))
    return {name.removeprefix("coco/"): value for name, value in figures.items()}


def coco_results(predictions: list[Prediction], kind: str) -> list[dict[str, Any]]:
    rows = []
    for found in predictions:
        for i, (x1, y1, x2, y2) in enumerate(found["bboxes"].tolist()):
            row = {"image_id": found["img_id"], "category_id": 10 * (int(found["labels"][i]) + 1)}
            if kind == "bbox":
                rows.append(row | {"bbox": [x1, y1, x2 - x1, y2 - y1], "score": float(found["scores"][i])})
            else:
                rows.append(row | {"segmentation": found["masks"][i], "score": float(found["mask_scores"][i])})
    return rows


def figures_of(evaluation: COCOeval, kind: str) -> dict[str, float]:
    stats = evaluation.stats[[0, 1, 2, 3, 4, 5, 8]].tolist()
    return {f"{kind}_{name}": value for name, value in zip((*NAMES, "AR"), stats, strict=True)}


def reference(path: str, predictions: list[Prediction], kind: str, thresholds: np.ndarray | None = None) -> COCOeval:
    """pycocotools' own evaluation, summarised."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        evaluation = COCOeval(truth, truth.loadRes(coco_results(predictions, kind)), kind)
        if thresholds is not None:
            evaluation.params.iouThrs = thresholds
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.fixture
def no_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    """pycocotools adds 2.2e-16 to a precision's denominator, which makes 1/1 to 0.9999999999999998; ours does not."""
    monkeypatch.setattr(np, "spacing", lambda _: 5e-324)  # only keeps 0/0 from being undefined


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_pycocotools_but_for_its_epsilon(tmp_path: Path, seed: int) -> None:
    truth, predictions = random_case(seed)
    path = write(tmp_path, truth)
    figures = study_figures(StudyMetric(ann_file=path, metric=["bbox", "segm"]), predictions)
    for kind in ("bbox", "segm"):
        expected = figures_of(reference(path, predictions, kind), kind)
        assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=0, abs=4e-16)


@pytest.mark.usefixtures("no_epsilon")
@pytest.mark.parametrize("seed", range(5))
def test_figures_are_pycocotools_to_the_last_digit(tmp_path: Path, seed: int) -> None:
    truth, predictions = random_case(seed)
    path = write(tmp_path, truth)
    assert any(a["iscrowd"] for a in truth["annotations"]) and len(truth["annotations"]) > 150
    assert max(len(p["scores"]) for p in predictions) < 100, "the cap of 100 must not matter here"
    figures = study_figures(StudyMetric(ann_file=path, metric=["bbox", "segm"]), predictions)
    for kind in ("bbox", "segm"):
        expected = figures_of(reference(path, predictions, kind), kind)
        assert {name: figures[name] for name in expected} == expected
        assert 0.1 < expected[f"{kind}_mAP"] < 0.9
    assert figures["segm_mAP"] != figures["bbox_mAP"]


@pytest.mark.usefixtures("no_epsilon")
def test_the_cap_of_100_is_pycocotools_too(tmp_path: Path) -> None:
    truth, predictions = random_case(3, per_image=120, classes=1)
    path = write(tmp_path, truth)
    assert max(len(p["scores"]) for p in predictions) > 150
    figures = study_figures(StudyMetric(ann_file=path, metric=["segm"], detections=100), predictions)
    expected = figures_of(reference(path, predictions, "segm"), "segm")
    assert {name: figures[name] for name in expected} == expected
    more = study_figures(StudyMetric(ann_file=path, metric=["segm"], detections=300), predictions)
    assert more["segm_AR"] > figures["segm_AR"]


def test_a_size_that_no_object_has_is_left_out(tmp_path: Path) -> None:
    small = [annotation(i + 1, 1, 10, disc(20 + 40 * i, 30, 8)) for i in range(4)]
    found = [(0, 0.9, 0.9, disc(20 + 40 * i, 30, 8)) for i in range(3)]
    path = write(tmp_path, truth_file(small, [1]))
    figures = study_figures(StudyMetric(ann_file=path, metric=["segm"]), [prediction(1, found)])
    assert set(figures) == {"segm_mAP", "segm_mAP_50", "segm_mAP_75", "segm_mAP_s", "segm_AR"}
    stats = reference(path, [prediction(1, found)], "segm").stats
    assert (stats[4], stats[5]) == (-1, -1)
    assert figures["segm_mAP_s"] == figures["segm_mAP"] == stats[0]


def dense_case() -> tuple[dict[str, Any], list[Prediction]]:
    """300 particles in one image, every one found perfectly."""
    centres = [(6 + 13 * (i % 20), 6 + 13 * (i // 20)) for i in range(300)]
    masks = [disc(x, y, 4) for x, y in centres]
    annotations = [annotation(i + 1, 1, 10, mask) for i, mask in enumerate(masks)]
    found = [(0, 1 - i / 1000, 1 - i / 1000, mask) for i, mask in enumerate(masks)]
    return truth_file(annotations, [1]), [prediction(1, found)]


def test_300_perfect_detections_score_1_where_cocos_cap_gives_a_third(tmp_path: Path) -> None:
    truth, predictions = dense_case()
    path = write(tmp_path, truth)
    figures = study_figures(StudyMetric(ann_file=path, metric=["bbox", "segm"], detections=300), predictions)
    names = ("mAP", "mAP_50", "mAP_75", "mAP_s", "AR")
    assert {name: figures[name] for kind in ("bbox", "segm") for name in [f"{kind}_{n}" for n in names]} == {
        f"{kind}_{n}": pytest.approx(1.0, abs=1e-12) for kind in ("bbox", "segm") for n in names
    }
    capped = study_figures(StudyMetric(ann_file=path, metric=["segm"], detections=100), predictions)
    theirs = study_figures(CocoMetric(ann_file=path, metric=["segm"]), predictions)
    assert round(capped["segm_mAP"], 3) == theirs["segm_mAP"] == 0.337


@pytest.mark.parametrize(
    ("metric", "thresholds"),
    [
        ("segm_mAP@0.3:0.6", [0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6]),
        ("segm_mAP@0.2:0.8:0.3", [0.2, 0.5, 0.8]),
        ("segm_mAP@0.4:0.4", [0.4]),
    ],
)
def test_a_range_is_the_mean_over_just_its_thresholds(tmp_path: Path, metric: str, thresholds: list[float]) -> None:
    truth, predictions = random_case(4)
    path = write(tmp_path, truth)
    extra = Objective(metric=metric).iou_thresholds()
    figures = study_figures(StudyMetric(ann_file=path, metric=["bbox", "segm"], iou_range=extra), predictions)
    precision = reference(path, predictions, "segm", np.array(thresholds)).eval["precision"][..., 0, -1]
    assert figures[metric] == pytest.approx(float(precision[precision > -1].mean()), abs=1e-15)
    assert not any(name.startswith("bbox_mAP@") for name in figures)
    without = study_figures(StudyMetric(ann_file=path, metric=["bbox", "segm"]), predictions)
    assert {name: figures[name] for name in without} == without, "the others stay as they are"


def test_masks_are_ranked_by_their_own_score(tmp_path: Path) -> None:
    """Mask Scoring R-CNN: a good mask with a low class score comes first, a bad one last."""
    truth = truth_file([annotation(1, 1, 10, disc(60, 60, 20))], [1])
    good, bad = disc(60, 60, 20), disc(180, 180, 20)
    found = prediction(1, [(0, 0.9, 0.1, bad), (0, 0.2, 0.8, good)])
    path = write(tmp_path, truth)
    figures = study_figures(StudyMetric(ann_file=path, metric=["bbox", "segm"]), [found])
    assert figures["segm_mAP"] == pytest.approx(1.0, abs=1e-12)
    assert figures["bbox_mAP"] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("extra", [None, (0.3, 0.6, 0.05)])
def test_nothing_found_scores_nothing(tmp_path: Path, extra: tuple[float, float, float] | None) -> None:
    truth, _ = random_case(0)
    metric = StudyMetric(ann_file=write(tmp_path, truth), metric=["bbox", "segm"], iou_range=extra)
    figures = study_figures(metric, [prediction(image, []) for image in range(1, 7)])
    assert figures["segm_mAP"] == figures["segm_mAP_50"] == figures["segm_mAP_75"] == figures["segm_AR"] == 0.0
    assert figures["bbox_mAP"] == 0.0
    assert figures.get("segm_mAP@0.3:0.6") == (0.0 if extra else None)
    assert set(figures.values()) == {0.0}
    found = study_figures(StudyMetric(ann_file=write(tmp_path, truth), metric=["segm"]), random_case(0)[1])
    assert {name for name in figures if name.startswith("segm") and "@" not in name} == set(found)


@pytest.mark.parametrize(
    "metric",
    [
        "segm_mAP",
        "segm_mAP_50",
        "bbox_mAP",
        "segm_mAP@0.3:0.6",
        "segm_mAP@0.3:0.6:0.1",
        "segm_mAP@0.30:0.60",
        "segm_mAP@.3:.6",
        "segm_mAP@0.3:0.6:0.05",
    ],
)
def test_the_objective_is_among_the_figures_however_it_is_written(tmp_path: Path, metric: str) -> None:
    truth, predictions = random_case(0)
    data = paths(val_annotations=write(tmp_path, truth), classes=CLASSES)
    config = render(combination(), 0, "tiny", data, Objective(metric=metric), 100)
    options = config["val_evaluator"]
    assert options.pop("type") == "StudyMetric"
    figures = study_figures(StudyMetric(**options), predictions)
    assert figures[Objective(metric=metric).metric] > 0
