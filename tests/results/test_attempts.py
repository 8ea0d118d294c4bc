"""Every attempt at a trial is kept: who, where, which epochs, how it ended; and what is said twice counts once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from results.errors import ResultsError
from results.records import EpochRecord, StudyRecord, TrialRecord
from results.store import Store

NewTrial = Callable[..., None]


@pytest.fixture
def store(any_url: str, study: StudyRecord, new_trial: NewTrial) -> Iterator[Store]:
    """An open store that holds the study and its waiting trial 0."""
    with Store.open(any_url) as opened:
        opened.add_study(study)
        new_trial(opened, 0)
        yield opened


def lease(store: Store, fence: int, worker: str = "w1", device: str = "cuda:0") -> None:
    store.lease("models", 0, fence=fence, worker=worker, owner="Ann", device=device)


def row(store: Store) -> TrialRecord:
    found = store.trial("models", 0)
    assert found
    return found


def epochs(store: Store, *numbers: int) -> None:
    for number in numbers:
        assert store.add_epoch("models", 0, EpochRecord(number, number / 10, {"segm_mAP": number / 10}, 2.0))


def test_attempts_say_who_trained_which_epochs_and_how_it_ended(store: Store) -> None:
    lease(store, 1)
    epochs(store, 1, 2)
    store.release("models", 0, end="preempted", reason="SIGTERM")
    lease(store, 2, "w2", "cpu")
    store.release("models", 0)
    lease(store, 3, "w3")
    epochs(store, 3)
    store.finish("models", 0, state="complete")
    attempts = store.attempts("models", 0)
    assert [(a.fence, a.worker, a.device, a.first_epoch, a.last_epoch, a.end, a.reason) for a in attempts] == [
        (1, "w1", "cuda:0", 1, 2, "preempted", "SIGTERM"),
        (2, "w2", "cpu", 3, None, "lost_worker", None),
        (3, "w3", "cuda:0", 3, 3, "complete", None),
    ]
    assert {(a.owner, a.batch_size, a.accumulate) for a in attempts} == {("Ann", 2, None)}
    moments = [moment for a in attempts for moment in (a.started_at, a.ended_at)]
    assert all(moment and moment.utcoffset() is not None for moment in moments)
    assert row(store).attempts == 3 and row(store).failure is None


def test_a_running_attempt_has_no_end(store: Store) -> None:
    lease(store, 1)
    only = store.attempts("models", 0)[0]
    assert (only.ended_at, only.end, only.last_epoch) == (None, None, None)


def test_a_lease_without_a_release_ends_the_attempt_before(store: Store) -> None:
    lease(store, 1)
    lease(store, 2, "w2")
    assert [a.end for a in store.attempts("models", 0)] == ["lost_worker", None]


def test_a_failure_is_kept_with_its_kind(store: Store) -> None:
    lease(store, 1)
    store.finish("models", 0, state="infeasible", failure="out_of_memory", reason="batch 1 needs 90 GB")
    assert (row(store).state, row(store).failure) == ("infeasible", "out_of_memory")
    only = store.attempts("models", 0)[0]
    assert (only.end, only.reason) == ("out_of_memory", "batch 1 needs 90 GB")


def test_what_is_said_twice_counts_once(store: Store, study: StudyRecord, new_trial: NewTrial) -> None:
    """The answer to a commit got lost: it is all said again."""
    store.add_study(study)
    new_trial(store, 0)
    for _ in range(2):
        lease(store, 1)
    assert row(store).attempts == 1 == len(store.attempts("models", 0))
    for _ in range(2):
        store.release("models", 0, end="stopped")
    lease(store, 2)
    before = store.attempts("models", 0), row(store)
    with pytest.raises(ResultsError, match=r"^lease 2 of trial 0 of study models was w1's$"):
        lease(store, 2, "w2")
    assert (store.attempts("models", 0), row(store)) == before
    for _ in range(2):
        store.restart("models", 0, {"batch_size": 1})
    store.finish("models", 0, state="failed", failure="nan_loss")
    for _ in range(2):
        store.retry("models", 0, optuna_number=1)
    assert row(store).retries == 1


def test_a_restart_forgets_the_epochs_and_trains_as_adjusted(store: Store) -> None:
    lease(store, 1)
    epochs(store, 1)
    store.release("models", 0, end="out_of_memory", reason="CUDA out of memory")
    store.restart("models", 0, {"batch_size": 1, "accumulate": 2})
    assert store.epochs("models", 0) == []
    found = row(store)
    assert (found.state, found.score, found.best_score, found.best_epoch, found.metrics) == (
        "waiting", None, None, None, {},
    )  # fmt: skip
    assert found.adjusted == {"batch_size": 1, "accumulate": 2}
    lease(store, 2)
    first, second = store.attempts("models", 0)
    assert (first.batch_size, first.accumulate, first.first_epoch, first.last_epoch) == (2, None, 1, 1)
    assert (second.batch_size, second.accumulate, second.first_epoch) == (1, 2, 1)
    store.finish("models", 0, state="complete")
    with pytest.raises(ResultsError, match="is complete already"):
        store.restart("models", 0)


@pytest.mark.parametrize(("state", "failure"), [("failed", "crashed"), ("failed", "cancelled"), ("pruned", None)])
def test_a_retry_goes_on_after_the_last_epoch(store: Store, state: str, failure: str | None) -> None:
    lease(store, 1)
    epochs(store, 1, 2)
    store.restart("models", 0, {"batch_size": 1})
    epochs(store, 1)
    store.finish("models", 0, state=state, failure=failure, reason="why", seconds=7.0)  # type: ignore[arg-type]
    store.retry("models", 0, optuna_number=4)
    found = row(store)
    assert (found.state, found.failure, found.reason, found.finished_at) == ("waiting", None, None, None)
    assert (found.retries, found.optuna_number, found.seconds, found.score) == (1, 4, 7.0, 0.1)
    assert found.adjusted == {"batch_size": 1}
    lease(store, 2)
    assert store.attempts("models", 0)[-1].first_epoch == 2
    store.finish("models", 0, state="failed", failure="crashed")
    store.retry("models", 0, optuna_number=5)
    assert (row(store).retries, row(store).optuna_number) == (2, 5)


def test_a_retry_starts_from_scratch_where_no_epoch_can_be_used(store: Store, new_trial: NewTrial) -> None:
    lease(store, 1)
    store.restart("models", 0, {"batch_size": 1})
    epochs(store, 1)
    store.finish("models", 0, state="infeasible", failure="out_of_memory")
    store.retry("models", 0, optuna_number=1)
    assert (store.epochs("models", 0), row(store).adjusted, row(store).score) == ([], None, None)
    epochs(store, *range(1, 13))
    store.finish("models", 0, state="failed", reason="no validation gave segm_mAP")
    store.retry("models", 0, optuna_number=2)
    assert store.epochs("models", 0) == []


def test_only_what_ended_without_a_score_is_tried_again(store: Store) -> None:
    with pytest.raises(ResultsError, match=r"^trial 0 of study models has not ended: it is waiting$"):
        store.retry("models", 0, optuna_number=1)
    lease(store, 1)
    store.finish("models", 0, state="complete")
    with pytest.raises(ResultsError, match=r"^trial 0 of study models is complete: there is nothing to try again$"):
        store.retry("models", 0, optuna_number=1)


def test_a_paused_study_says_why(store: Store, study: StudyRecord) -> None:
    store.set_state("models", "paused", "the first five trials failed: code_error")
    assert store.study("models") == replace(study, state="paused", reason="the first five trials failed: code_error")
    store.touch_study("models", state="running")
    assert store.study("models") == study
