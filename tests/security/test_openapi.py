"""Schemathesis over the API's own description, with the token: no 5xx, and every answer as declared."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from security.house import AUTHORIZED, House, house

CALM = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}
# The house has four trials; most requests that are made up meet a study or trial that is not there.
NAMES = ("mine", "none")


@pytest.fixture(scope="module")
def served() -> Any:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        opened = stack.enter_context(house(folder))
        schema = schemathesis.openapi.from_url(f"{opened.url}/openapi.json", headers=AUTHORIZED)
        yield schema.exclude(path="/stop")
