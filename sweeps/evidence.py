"""What a trial kept of each validation image, from the worker's message into the store."""

from __future__ import annotations

import base64
import binascii

from results import evidence
from results.store import Store


def keep_evidence(store: Store, study: str, number: int, text: str) -> None:
    """Stores a trial's evidence; a worker that sends what is no base64 has a trial without an interval."""
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        return
    store.add_evidence(study, number, blob, evidence.layout(blob))
