"""What a trial kept of each validation image, from the worker's message into the store."""

from __future__ import annotations

import base64
import binascii
import math

import numpy as np

from results.errors import ResultsError
from results.statistics import evidence
from results.store import Store
from runner.errors import UserError

_MOST_IMAGES = 200  # of a validation set; a test of pairs needs no more


def each_image(text: str, metric: str) -> dict[int, float] | None:
    """The score on each validation image alone, of 200 spread over them where there are more.

    Args:
        text: evidence as a worker sent it.
        metric: the score's name.

    Returns:
        By the image's place; those where COCO gives none are left out. None if the text cannot be read.
    """
    try:
        found = evidence.unpack(base64.b64decode(text, validate=True))
        chosen = np.unique(np.linspace(0, len(found.images) - 1, _MOST_IMAGES).astype(int))
        few = found.only(chosen)
        scores = few.replicates(metric, np.eye(len(chosen), dtype=np.int64))
    except (binascii.Error, ResultsError):
        return None
    return {int(image): float(score) for image, score in zip(chosen, scores, strict=True) if math.isfinite(score)}


def check_evidence(blob: bytes) -> None:
    """Whether evidence that somebody sent can be read.

    Raises:
        UserError: it cannot.
    """
    try:
        evidence.unpack(blob)
    except ResultsError as error:
        raise UserError(str(error)) from error


def keep_evidence(store: Store, study: str, number: int, text: str) -> None:
    """Stores a trial's evidence; a worker that sends what is no base64 has a trial without an interval."""
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        return
    store.add_evidence(study, number, blob, evidence.layout(blob))
