"""Made-up evidence for tests: from the model in benchmarks/evidence_model.py, packed as a worker does."""

from __future__ import annotations

import io
import json

import numpy as np

from benchmarks.evidence_model import images
from benchmarks.evidence_model import training as trained
from results.records import HeldRecord, now
from results.statistics.perimage import Evidence


def training(seed: int, quality: float = 0.1, count: int = 50, shown: int = 0) -> Evidence:
    """A training of that quality on the images of number `shown`; another seed, another training."""
    return trained(np.random.default_rng([1, seed]), images(np.random.default_rng([0, shown]), count), quality)


def packed(evidence: Evidence) -> bytes:
    """As `runner.training.evidence.pack` writes it."""
    about = {
        "version": 1, "kind": evidence.kind, "cap": evidence.cap,
        "thresholds": evidence.thresholds.tolist(), "sizes": list(evidence.sizes),
    }  # fmt: skip
    file = io.BytesIO()
    np.savez_compressed(
        file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), images=evidence.images,
        truths=evidence.truths, found=evidence.found, scores=evidence.scores,
        matched=np.packbits(evidence.matched), ignored=np.packbits(evidence.ignored),
    )  # fmt: skip
    return file.getvalue()


def figure(found: int) -> float:
    """Of ten particles so many are found, none wrongly: precision 1 at that share of the 101 recalls.

    COCO's recalls are floats: 0.6 of the particles is less than its 0.6000000000000001.
    """
    return sum(recall <= found / 10 for recall in np.linspace(0.0, 1.0, 101)) / 101


def alike(found: int, images: int = 20) -> HeldRecord:
    """Every image has ten particles of which so many are found: drawing other images of them changes nothing."""
    n = found * images
    evidence = Evidence(
        kind="segm", cap=100, thresholds=np.round(np.linspace(0.5, 0.95, 10), 10),
        sizes=("all",), images=np.arange(images),
        truths=np.full((1, 1, images), 10), found=np.full((1, images), found), scores=np.full(n, 0.9),
        matched=np.ones((1, 10, n), bool), ignored=np.zeros((1, 10, n), bool),
    )  # fmt: skip
    return HeldRecord({"segm_mAP": evidence.figure("segm_mAP")}, packed(evidence), now())
