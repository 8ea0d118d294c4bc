"""What each validation image contributed to a figure: enough to compute it again for any choice of images.

COCO's precision is made of scores, of flags (matched, ignored) and of the number of truths, image by image. They are
kept for the objective's kind (boxes or masks) at every threshold and size. ``results.statistics.evidence`` reads them.

The matching is that of pycocotools' ``COCOeval.evaluateImg``, all sizes and thresholds at once; faster-coco-eval keeps
its own in C++ where Python cannot read it.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

VERSION = 1


@dataclass(frozen=True)
class Image:
    """One image and class.

    Attributes:
        truths: how many count, by size, (sizes,).
        scores: of the detections below the cap, falling, (n,).
        matched, ignored: flags, (sizes, thresholds, n).
    """

    truths: np.ndarray
    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray


def pack(evaluation: Any) -> bytes:
    """The evidence of an evaluation that has been made, as a compressed ``.npz`` of plain arrays.

    Args:
        evaluation: a ``COCOeval_faster`` after ``evaluate``; its last cap of detections and its parameters hold.

    Returns:
        Arrays ``images`` (ids, in order), ``truths`` (classes, sizes, images), ``found`` (classes, images),
        ``scores`` (by class, image, falling), ``matched`` and ``ignored`` (bits of sizes x thresholds x scores), and
        ``about``: JSON with version, kind, cap, thresholds and sizes.
    """
    p = evaluation.params
    truths, found, scores, matched, ignored = [], [], [], [], []
    for category in p.catIds:
        images = _without_the_useless([_image(evaluation, image, category) for image in p.imgIds])
        truths.append(np.stack([image.truths for image in images], axis=-1))
        found.append([image.scores.size for image in images])
        scores += [image.scores for image in images]
        matched += [image.matched for image in images]
        ignored += [image.ignored for image in images]
    about = {
        "version": VERSION, "kind": p.iouType, "cap": int(p.maxDets[-1]),
        "thresholds": p.iouThrs.tolist(), "sizes": list(p.areaRngLbl),
    }  # fmt: skip
    file = io.BytesIO()
    np.savez_compressed(
        file,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        images=np.array(p.imgIds, np.int64),
        truths=np.array(truths, np.int32),
        found=np.array(found, np.int32),
        scores=_narrow(np.concatenate(scores)),
        matched=np.packbits(np.concatenate(matched, axis=-1)),
        ignored=np.packbits(np.concatenate(ignored, axis=-1)),
    )
    return file.getvalue()


def _image(evaluation: Any, image: int, category: int) -> Image:
    p = evaluation.params
    truth, found = (
        data.get_instances([image], [category], True)[0][0] for data in (evaluation.gt_dataset, evaluation.dt_dataset)
    )
    order = np.argsort([-d["score"] for d in found], kind="mergesort")[: p.maxDets[-1]]
    found = [found[i] for i in order]
    low, high = np.array(p.areaRng, dtype=float).T[:, :, None]
    areas = np.array([d["area"] for d in found], dtype=float)
    outside = (areas < low) | (areas > high)
    truth_areas = np.array([g["area"] for g in truth], dtype=float)
    crowd = np.array([bool(g.get("iscrowd", 0)) for g in truth], dtype=bool)
    unwanted = crowd | (truth_areas < low) | (truth_areas > high)
    ious = np.array(evaluation.ious[image, category], dtype=float).reshape(len(found), len(truth))
    taken, free = _match(ious, p.iouThrs, unwanted, crowd)
    ignored = free | (~taken & outside[:, None, :])
    return Image(
        truths=(~unwanted).sum(axis=-1),
        scores=np.array([d["score"] for d in found], dtype=float),
        matched=taken & ~free,
        ignored=ignored,
    )


def _match(
    ious: np.ndarray, thresholds: np.ndarray, unwanted: np.ndarray, crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gives each detection, in order, the best truth that is left; one that does not count only if no other is.

    Args:
        ious: (detections, truths).
        thresholds: (thresholds,).
        unwanted: truths that do not count at a size, (sizes, truths).
        crowd: truths that any number of detections may take, (truths,).

    Returns:
        Which detections have a truth, and which have one that does not count, (sizes, thresholds, detections).
    """
    n, m = ious.shape
    shape = (len(unwanted), len(thresholds))
    taken, free = np.zeros((*shape, n), bool), np.zeros((*shape, n), bool)
    if m == 0:
        return taken, free
    left = np.ones((*shape, m), bool)
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    size, threshold = np.indices(shape)
    for i in range(n):
        able = left & (ious[i] >= least)
        if not able.any():
            continue
        wanted = able & ~unwanted[:, None, :]
        able = np.where(wanted.any(-1, keepdims=True), wanted, able)
        # of equal ones the last, as COCO's loop takes it
        best = m - 1 - np.argmax(np.where(able, ious[i], -1.0)[..., ::-1], axis=-1)
        has = able.any(-1)
        taken[..., i] = has
        free[..., i] = has & unwanted[size, best]
        left[size, threshold, best] &= ~has | crowd[best]
    return taken, free


def _without_the_useless(images: list[Image]) -> list[Image]:
    """Without detections below the last match of their class: they change no precision at any recall reached."""
    hits = [image.scores[image.matched.any(axis=(0, 1))] for image in images]
    last = min(np.concatenate(hits), default=np.inf)
    kept = [(image, image.scores >= last) for image in images]
    return [Image(i.truths, i.scores[keep], i.matched[..., keep], i.ignored[..., keep]) for i, keep in kept]


def _narrow(scores: np.ndarray) -> np.ndarray:
    """As 32-bit numbers where that loses nothing, which is so for all that torch made."""
    narrow = scores.astype(np.float32)
    return narrow if np.array_equal(narrow, scores) else scores
