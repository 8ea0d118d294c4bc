"""COCO's figures at the study's own cap of detections per image, unrounded.

mmdet's CocoMetric rounds to three digits and its summary knows no cap but 100. The figures are read here from the
arrays of faster-coco-eval, which are pycocotools' up to 2.2e-16: pycocotools adds that to a denominator, so that a
perfect precision is 0.9999999999999998 there and 1.0 here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from pycocotools import mask as rle

from runner.training import evidence

_AREAS = ("all", "small", "medium", "large")
_THRESHOLDS = np.linspace(0.5, 0.95, 10)


@METRICS.register_module()
class StudyMetric(CocoMetric):
    """mAP, AP50, AP75, by size, and AR of boxes and masks, full precision.

    Keys: ``segm_mAP segm_mAP_50 segm_mAP_75 segm_mAP_s segm_mAP_m segm_mAP_l segm_AR`` and the same for ``bbox``.
    A figure COCO does not define (no object of that size) is left out.

    Args:
        detections: cap per image of every figure.
        iou_range: (low, high, step) of one more mask figure, ``segm_mAP@low:high`` (with ``:step`` if not .05).
    """

    def __init__(
        self, *, detections: int = 100, iou_range: tuple[float, float, float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.detections = detections
        self.iou_range = iou_range
        self._truth = COCO(kwargs["ann_file"], print_function=_silent)
        self._extra = np.array([])
        self._latest: dict[str, COCOeval_faster] = {}
        if iou_range:
            low, high, step = iou_range
            self._extra = low + step * np.arange(round((high - low) / step) + 1)

    def compute_metrics(self, results: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
        """All figures of one validation, from the (truth, prediction) pairs that CocoMetric.process kept."""
        categories = self._truth.getCatIds(catNms=list(self.dataset_meta["classes"]))
        images = [truth["img_id"] for truth, _ in results]
        figures: dict[str, float] = {}
        for kind in self.metrics:
            found = [d for _, prediction in results for d in _detections(prediction, kind, categories)]
            figures.update(self._figures(kind, found, images, categories))
        return figures

    def latest(self, kind: str) -> COCOeval_faster | None:
        """The latest evaluation of boxes or masks, with labels (`cocoGt`) and detections (`cocoDt`)."""
        return self._latest.get(kind)

    def evidence(self, kind: str) -> bytes | None:
        """What each image contributed to the last figures of a kind (`runner.training.evidence`); None without one."""
        evaluation = self._latest.get(kind)
        return None if evaluation is None else evidence.pack(evaluation)

    def _figures(
        self, kind: str, found: list[dict[str, Any]], images: Sequence[int], categories: Sequence[int]
    ) -> dict[str, float]:
        # loadRes wants at least one detection
        results = self._truth.loadRes(found) if found else COCO({**self._truth.dataset, "annotations": []})
        evaluation = COCOeval_faster(self._truth, results, kind, print_function=_silent)
        p = evaluation.params
        p.catIds, p.imgIds = list(categories), list(images)
        p.maxDets = [self.detections]
        extra = self._extra if kind == "segm" else np.array([])
        p.iouThrs = np.unique(np.round(np.concatenate([_THRESHOLDS, extra]), 10))
        evaluation.evaluate()
        evaluation.accumulate()
        self._latest[kind] = evaluation
        precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
        coco = np.isin(p.iouThrs, np.round(_THRESHOLDS, 10))

        def mean(array: np.ndarray) -> float | None:
            defined = array[array > -1]
            return float(defined.mean()) if defined.size else None

        # precision: thresholds x recalls x classes x areas x caps; recall: the same without recalls
        named: dict[str, float | None] = {
            "mAP": mean(precision[coco, :, :, 0, -1]),
            "mAP_50": mean(precision[np.isclose(p.iouThrs, 0.5), :, :, 0, -1]),
            "mAP_75": mean(precision[np.isclose(p.iouThrs, 0.75), :, :, 0, -1]),
            "mAP_s": mean(precision[coco, :, :, 1, -1]),
            "mAP_m": mean(precision[coco, :, :, 2, -1]),
            "mAP_l": mean(precision[coco, :, :, 3, -1]),
            "AR": mean(recall[coco, :, 0, -1]),
        }
        if extra.size:
            named[self._range_name()] = mean(precision[np.isin(p.iouThrs, np.round(extra, 10)), :, :, 0, -1])
        return {f"{kind}_{name}": value for name, value in named.items() if value is not None}

    def _range_name(self) -> str:
        assert self.iou_range
        low, high, step = self.iou_range
        return f"mAP@{low:g}:{high:g}" + ("" if step == 0.05 else f":{step:g}")


def _detections(prediction: dict[str, Any], kind: str, categories: Sequence[int]) -> list[dict[str, Any]]:
    """One image's predictions as COCO results: boxes as x, y, width, height in pixels, masks as run lengths."""
    boxes = prediction["bboxes"]
    scores = prediction.get("mask_scores", prediction["scores"]) if kind == "segm" else prediction["scores"]
    rows = []
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        row: dict[str, Any] = {
            "image_id": prediction["img_id"],
            "category_id": categories[int(prediction["labels"][i])],
            "score": float(scores[i]),
        }
        if kind == "bbox":
            row["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        else:
            row["segmentation"] = prediction["masks"][i]
            row["area"] = float(rle.area(row["segmentation"]))
        rows.append(row)
    return rows


def _silent(*_: object) -> None:
    return None
