"""Which server may write which study of a PostgreSQL database, where several servers have the same one."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import Bench
from postgres import Postgres

from results import claim
from results.errors import ClaimedError
from results.store import Store
from sweeps.session import open_study


@pytest.fixture
def bench(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(claim, "_WAIT_SECONDS", 0.5)
    return Bench(tmp_path, url=postgres.database())


def test_a_start_that_is_refused_changes_nothing(bench: Bench) -> None:
    with Store.open(bench.storage) as reader, bench.study() as study:
        study.set_state("paused", "by a user")
        before = reader.study("made_up")
        with pytest.raises(ClaimedError, match="is run by another server"), bench.study("budget.trials=2"):
            pass
        assert reader.study("made_up") == before


def test_two_starts_of_a_new_study_make_one(bench: Bench) -> None:
    """The one that is refused has not even added it."""
    with Store.open(bench.storage) as first, Store.open(bench.storage) as second:
        first.claim("made_up")
        with pytest.raises(ClaimedError):
            open_study(second, bench.space(), "tiny", bench.data, bench.folder / "work_dirs")
        assert second.studies() == []
