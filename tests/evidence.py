"""Made-up evidence for tests: from the model in benchmarks/evidence_model.py, packed as a worker does."""

from __future__ import annotations

import io
import json

import numpy as np

from benchmarks.evidence_model import images
from benchmarks.evidence_model import training as trained
from results.perimage import Evidence


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
