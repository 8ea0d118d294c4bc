"""A part of all pairs, through the command line: every trial of it ends with a score."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import NUCLEI, Desk

PAIRS = Path(__file__).parents[1] / "search_spaces" / "pairs.yaml"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_shard_of_all_pairs_trains(desk: Desk) -> None:
    done = desk.run(
        "start", PAIRS, "--data", NUCLEI, "--scale", "tiny", "--set", "sampler.shard=7/20", timeout=1100
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = desk.json("rank", "--all")["rows"]
    assert [(row["trial"], row["reason"]) for row in rows if row["state"] != "complete"] == []
    assert len(rows) >= 20
    assert all(row["score"] is not None for row in rows)
