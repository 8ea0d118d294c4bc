"""Fixtures of the tests of what decides."""

from __future__ import annotations

import pytest

from sweeps.artifacts import intake


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to store a file than a request waits for that."""
    monkeypatch.setattr(intake, "_ANSWER_SECONDS", 5.0)
