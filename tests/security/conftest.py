"""A server for each test that changes it, and one for all that only knock at its door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from security.house import House, house


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[House]:
    """A house of the test's own."""
    with house(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of all tests of a file."""
    with house(tmp_path_factory.mktemp("house")) as opened:
        yield opened
