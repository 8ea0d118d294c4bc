"""Many writers at once, each with a store of its own: nothing is lost, nothing is done twice, nobody is turned away."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from results.errors import ResultsError
from results.records import EpochRecord, StudyRecord
from results.store import Store

T = TypeVar("T")
NewTrial = Callable[..., None]
WRITERS = 8


@pytest.fixture
def at_once(any_url: str, study: StudyRecord, new_trial: NewTrial) -> Callable[[Callable[[Store, int], T]], list[T]]:
    """Lets every writer do the same at the same time."""
    with Store.open(any_url) as opened:
        opened.add_study(study)
        new_trial(opened, 0)

    def start(action: Callable[[Store, int], T]) -> list[T]:
        def one(writer: int) -> T:
            with Store.open(any_url) as store:
                return action(store, writer)

        with ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(one, range(WRITERS)))

    return start


def test_one_of_many_ends_a_trial(at_once: Callable[..., list[bool]], any_url: str) -> None:
    ended = at_once(lambda store, writer: store.finish("models", 0, state="failed", reason=f"by {writer}"))
    assert sorted(ended) == [False] * 7 + [True]
    with Store.open(any_url) as store:
        row = store.trial("models", 0)
        assert row and row.reason == f"by {ended.index(True)}"


def test_one_of_many_gets_a_lease(at_once: Callable[..., list[str]], any_url: str) -> None:
    def lease(store: Store, writer: int) -> str:
        try:
            return store.lease("models", 0, fence=1, worker=f"w{writer}", owner="Ann", device="cpu").worker or ""
        except ResultsError as error:
            return str(error)

    said = at_once(lease)
    with Store.open(any_url) as store:
        winner = store.attempts("models", 0)[0].worker
        assert len(store.attempts("models", 0)) == 1
    refused = f"lease 1 of trial 0 of study models was {winner}'s"
    assert sorted(said) == sorted([winner, *[refused] * 7])


def test_whole_lives_side_by_side(at_once: Callable[..., list[None]], any_url: str, new_trial: NewTrial) -> None:
    """Combinations and configs that all share are stored once, whoever comes first."""

    def life(store: Store, writer: int) -> None:
        for number in range(1 + 5 * writer, 6 + 5 * writer):
            new_trial(store, number, seed=number, combination="0a1b2c3d")
            store.lease("models", number, fence=1, worker=f"w{writer}", owner="Ann", device="cpu")
            for epoch in (1, 2):
                assert store.add_epoch("models", number, EpochRecord(epoch, number / 100, {"segm_mAP": number / 100}))
            store.release("models", number, end="preempted")
            store.lease("models", number, fence=2, worker=f"w{writer}", owner="Ann", device="cpu")
            assert store.finish("models", number, state="complete", config=f"model = {number % 3}\n", seconds=1.0)

    at_once(life)
    with Store.open(any_url) as store:
        rows = store.trials("models")[1:]
        assert [(row.number, row.state, row.score) for row in rows] == [(n, "complete", n / 100) for n in range(1, 41)]
        assert store.scores("models") == {n: {1: n / 100, 2: n / 100} for n in range(1, 41)}
        ends = {tuple(a.end for a in store.attempts("models", row.number)) for row in rows}
        assert ends == {("preempted", "complete")}
        assert len({row.config_hash for row in rows}) == 3
        assert len({store.config("models", row.number) for row in rows}) == 3
