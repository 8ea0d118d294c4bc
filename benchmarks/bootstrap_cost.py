"""What a bootstrap sample costs: from a trial's evidence, and by evaluating the copied data set with pycocotools.

    python benchmarks/bootstrap_cost.py [--images 50] [--objects 12] [--detections 100] [--samples 1000]

Discs on pictures of 256 x 256 pixels; detections shifted, resized, scored as detectors do. Printed: size of the
evidence, seconds of both ways, their ratio, and that both give the same figure.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.coco
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools import mask as rle
from pycocotools.cocoeval import COCOeval

from results.statistics.confidence import CHOICES, choices
from results.statistics.evidence import unpack
from runner.training.evidence import pack

SIZE = 256


def disc(x: float, y: float, radius: float) -> dict[str, Any]:
    rows, columns = np.ogrid[:SIZE, :SIZE]
    code: dict[str, Any] = rle.encode(
        np.asfortranarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).astype(np.uint8)
    )
    return code


def case(images: int, objects: int, detections: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Labels and detections in COCO's form."""
    rng = np.random.default_rng(0)
    labels: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image in range(1, images + 1):
        centres = rng.uniform(20, SIZE - 20, (objects, 2))
        for x, y in centres.tolist():
            code = disc(x, y, 12)
            labels.append({
                "id": len(labels) + 1, "image_id": image, "category_id": 1, "iscrowd": 0,
                "segmentation": {"size": code["size"], "counts": code["counts"].decode()},
                "area": float(rle.area(code)), "bbox": rle.toBbox(code).tolist(),
            })  # fmt: skip
        near = centres[rng.integers(0, objects, detections)] + rng.normal(0, 2.5, (detections, 2))
        for x, y in near.tolist():
            code = disc(x, y, 12 * rng.uniform(0.85, 1.15))
            score = float(np.float32(rng.beta(0.5, 2)))
            found.append({
                "image_id": image, "category_id": 1, "score": score, "segmentation": code,
                "area": float(rle.area(code)), "bbox": rle.toBbox(code).tolist(),
            })  # fmt: skip
    pictures = [{"id": i, "file_name": f"{i}.png", "width": SIZE, "height": SIZE} for i in range(1, images + 1)]
    return {"images": pictures, "categories": [{"id": 1, "name": "disc"}], "annotations": labels}, found


def evaluate(labels: dict[str, Any], found: list[dict[str, Any]], api: Any, reader: Any) -> Any:
    """One evaluation of masks with COCO's own parameters."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "labels.json"
        path.write_text(json.dumps(labels))
        truth = reader(str(path))
        evaluation = api(truth, truth.loadRes([dict(one) for one in found]), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def copied(
    labels: dict[str, Any], found: list[dict[str, Any]], taken: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data set with each image as often as it was taken."""
    pictures: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for picture, times in zip(labels["images"], taken.tolist(), strict=True):
        for _ in range(times):
            number = len(pictures) + 1
            pictures.append({**picture, "id": number})
            for one in labels["annotations"]:
                if one["image_id"] == picture["id"]:
                    annotations.append({**one, "id": len(annotations) + 1, "image_id": number})
            detections += [{**one, "image_id": number} for one in found if one["image_id"] == picture["id"]]
    return {**labels, "images": pictures, "annotations": annotations}, detections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--objects", type=int, default=12)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--samples", type=int, default=CHOICES)
    options = parser.parse_args()
    labels, found = case(options.images, options.objects, options.detections)
    evaluation = evaluate(labels, found, COCOeval_faster, COCO)
    begun = time.process_time()
    blob = pack(evaluation)
    packing = time.process_time() - begun
    evidence = unpack(blob)
    taken = choices(options.images, options.samples)
    begun = time.process_time()
    replicates = evidence.replicates("segm_mAP", taken)
    ours = (time.process_time() - begun) / options.samples
    again = copied(labels, found, taken[0])
    begun = time.process_time()
    slow = evaluate(*again, COCOeval, pycocotools.coco.COCO)
    theirs = time.process_time() - begun
    precision = slow.eval["precision"][..., 0, -1]
    print(f"{options.images} images, {options.objects} objects and {options.detections} detections in each")
    print(
        f"evidence: {len(blob) / 1024:.1f} KiB, packed in {packing:.2f} s; segm_mAP {evidence.figure('segm_mAP'):.4f}"
    )
    print(f"a bootstrap sample: {1e3 * ours:.3f} ms, pycocotools on the copied data set {theirs:.2f} s")
    print(f"ratio {theirs / ours:,.0f}; their figures differ by {abs(replicates[0] - precision.mean()):.1e}")
    print(f"{options.samples} samples of one trial: {ours * options.samples:.2f} s of processor time")


if __name__ == "__main__":
    main()
