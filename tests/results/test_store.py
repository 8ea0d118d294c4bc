"""The store on real databases of both kinds."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from sqlalchemy import create_engine, event, text

from results.errors import ResultsError
from results.records import STATES, EpochRecord, StudyRecord
from results.store import Store

NewTrial = Callable[..., None]
SCORE = 0.58612912331234567


@pytest.fixture
def store(any_url: str, study: StudyRecord, new_trial: NewTrial) -> Iterator[Store]:
    """An open store that holds the study and its waiting trial 0."""
    with Store.open(any_url) as opened:
        opened.add_study(study)
        new_trial(opened, 0)
        yield opened


def test_a_study_comes_back_as_it_was_kept(store: Store, study: StudyRecord) -> None:
    assert store.study("models") == study
    assert store.study("other") is None
    assert store.studies()[0].created_at.utcoffset() == timedelta(0)


def test_the_study_started_last_is_last(store: Store, study: StudyRecord) -> None:
    store.add_study(replace(study, name="later", started_at=study.started_at + timedelta(hours=1)))
    assert [one.name for one in store.studies()] == ["models", "later"]
    moment = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    store.touch_study("models", state="finished", budget={"trials": 9}, started_at=moment)
    assert [one.name for one in store.studies()] == ["later", "models"]
    touched = store.studies()[-1]
    assert (touched.state, touched.budget, touched.started_at) == ("finished", {"trials": 9}, moment)


def test_a_trial_from_waiting_to_complete(store: Store) -> None:
    waiting = store.trials("models")[0]
    assert (waiting.state, waiting.fence, waiting.attempts, waiting.score) == ("waiting", 0, 0, None)
    assert (waiting.combination, waiting.seed, waiting.owner) == ("0a1b2c3d", 7, "김철수")
    assert waiting.parts["optimizer"] == {"name": "AdamW", "params": {"lr": 0.001}}

    store.lease("models", 0, fence=3, worker="w1", owner="이영희", device="cuda:0")
    store.release("models", 0)
    back = store.trial("models", 0)
    assert back is not None and (back.state, back.fence, back.attempts) == ("waiting", 3, 1)
    store.lease("models", 0, fence=4, worker="w2", owner="이영희", device="cpu")
    assert store.add_epoch("models", 0, EpochRecord(1, SCORE, {"segm_mAP": SCORE, "segm_mAP_s": None}, 2.5))
    done = store.finish(
        "models", 0, state="complete", parameters=3_000_000_000, peak_memory_mb=1.5, seconds=9.0,
        versions={"torch": "2.13.0"}, config="model = 1\n",
    )  # fmt: skip
    trial = store.trial("models", 0)
    assert done and trial is not None
    assert (trial.state, trial.attempts, trial.worker, trial.device) == ("complete", 2, "w2", "cpu")
    assert (trial.score, trial.metrics) == (SCORE, {"segm_mAP": SCORE, "segm_mAP_s": None})
    assert (trial.parameters, trial.peak_memory_mb, trial.seconds) == (3_000_000_000, 1.5, 9.0)
    assert trial.versions == {"torch": "2.13.0"} and trial.reason is None
    assert trial.started_at and trial.finished_at and trial.created_at <= trial.started_at <= trial.finished_at
    assert store.config("models", 0) == "model = 1\n"
    assert store.epochs("models", 0) == [EpochRecord(1, SCORE, {"segm_mAP": SCORE, "segm_mAP_s": None}, 2.5)]


def test_an_epoch_is_kept_once(store: Store) -> None:
    assert store.add_epoch("models", 0, EpochRecord(1, 0.25, {"segm_mAP": 0.25}))
    assert not store.add_epoch("models", 0, EpochRecord(1, 0.75, {"segm_mAP": 0.75}))
    trial = store.trial("models", 0)
    assert trial is not None and (trial.score, trial.metrics) == (0.25, {"segm_mAP": 0.25})


@pytest.mark.parametrize(
    ("at", "score", "epoch"), [("last", 0.25, 3), ("best", 0.5, 2)], ids=["last epoch", "best epoch"]
)
def test_the_score_is_the_last_or_the_best(
    store: Store,
    study: StudyRecord,
    new_trial: NewTrial,
    at: Literal["last", "best"],
    score: float,
    epoch: int,
) -> None:
    store.add_study(replace(study, name="other", at=at))
    new_trial(store, 0, study="other")
    # Epoch 3 arrives before 2, as after a lost connection.
    for number, value in [(1, 0.1), (3, 0.25), (2, 0.5)]:
        store.add_epoch("other", 0, EpochRecord(number, value, {"segm_mAP": value, "epoch": number}))
    trial = store.trial("other", 0)
    assert trial is not None
    assert (trial.score, trial.metrics["epoch"]) == (score, epoch)
    assert (trial.best_score, trial.best_epoch) == (0.5, 2)


def test_equal_scores_keep_the_earlier_epoch(store: Store) -> None:
    for number in (1, 2):
        store.add_epoch("models", 0, EpochRecord(number, 0.5, {}))
    trial = store.trial("models", 0)
    assert trial is not None and trial.best_epoch == 1


def test_what_is_no_number_becomes_none(store: Store) -> None:
    store.add_epoch("models", 0, EpochRecord(1, 0.5, {"segm_mAP": 0.5}))
    store.add_epoch("models", 0, EpochRecord(2, math.nan, {"segm_mAP": math.nan, "loss": math.inf}))
    trial = store.trial("models", 0)
    assert trial is not None
    assert (trial.score, trial.metrics, trial.best_score) == (None, {"segm_mAP": None, "loss": None}, 0.5)


def test_a_final_trial_never_changes(store: Store) -> None:
    assert store.finish("models", 0, state="failed", reason="out of memory")
    before = store.trial("models", 0)
    assert not store.finish("models", 0, state="complete", config="x")
    assert not store.add_epoch("models", 0, EpochRecord(1, 0.5, {}))
    store.release("models", 0)
    with pytest.raises(ResultsError, match=r"^trial 0 of study models is failed already$"):
        store.lease("models", 0, fence=9, worker="w", owner="o", device="cpu")
    assert store.trial("models", 0) == before
    with pytest.raises(ValueError, match="running is not a final state"):
        store.finish("models", 0, state="running")


def test_a_lease_under_an_old_number_is_refused(store: Store) -> None:
    store.lease("models", 0, fence=5, worker="w", owner="o", device="cpu")
    with pytest.raises(ResultsError, match=r"^trial 0 of study models has a later lease: 5, not 4$"):
        store.lease("models", 0, fence=4, worker="w", owner="o", device="cpu")


def test_text_that_a_database_refuses_is_mended(store: Store) -> None:
    store.finish("models", 0, state="failed", reason="a\0b \udc80 c")
    trial = store.trial("models", 0)
    assert trial is not None and trial.reason == "a\ufffdb ? c"


def test_combinations_and_configs_are_stored_once(store: Store, any_url: str, new_trial: NewTrial) -> None:
    new_trial(store, 1, seed=8)
    new_trial(store, 2, combination="ffffffff", parts={"model": {"name": "solov2", "params": {}}})
    for number in range(3):
        store.finish("models", number, state="complete", config="the same\n")
    engine = create_engine(any_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM sweep_combinations")) == 2
        assert connection.scalar(text("SELECT count(*) FROM sweep_configs")) == 1
    engine.dispose()


def test_two_combinations_with_the_same_eight_digits_stay_apart(store: Store, new_trial: NewTrial) -> None:
    new_trial(store, 1, parts={"model": {"name": "solov2", "params": {}}})
    names = [trial.parts["model"]["name"] for trial in store.trials("models")]
    assert names == ["mask_rcnn", "solov2"]


def test_counts_name_every_state(store: Store, new_trial: NewTrial) -> None:
    new_trial(store, 1)
    store.finish("models", 1, state="pruned")
    expected = dict.fromkeys(STATES, 0) | {"waiting": 1, "pruned": 1}
    assert store.counts("models") == expected


def test_a_summary_is_that_of_all_trials(store: Store, new_trial: NewTrial) -> None:
    empty = store.summary("models")
    assert (empty.best, empty.baseline, empty.mean_seconds) == (None, None, None)
    scores = {1: 0.25, 2: 0.75, 3: None, 4: 0.75, 5: 0.9}
    for number, score in scores.items():
        new_trial(store, number)
        store.add_epoch("models", number, EpochRecord(1, score, {"segm_mAP": score}))
        store.finish("models", number, state="failed" if number == 5 else "complete", seconds=10.0 * number)
    found = store.summary("models")
    assert found.best and (found.best.number, found.best.score) == (2, 0.75)
    assert found.baseline and found.baseline.number == 1
    assert found.counts == store.counts("models")
    assert found.mean_seconds == 25.0
    assert store.scores("models") == {1: {1: 0.25}, 2: {1: 0.75}, 4: {1: 0.75}, 5: {1: 0.9}}


def test_a_summary_says_whether_something_was_repeated_or_confirmed(
    any_url: str, study: StudyRecord, new_trial: NewTrial
) -> None:
    """Trials 0, 1 and 3 are of one combination, of which 1 has no score; 2 is of another."""
    with Store.open(any_url) as store:
        store.add_study(study)
        for number, score in enumerate((0.5, None, 0.5, 0.4)):
            another = {"combination": "ffffffff", "parts": {}} if number == 2 else {}
            new_trial(store, number, seed=number, **another)
            store.add_epoch("models", number, EpochRecord(1, score, {}))
            assert not store.summary("models").repeated
            store.finish("models", number, state="complete")
        assert (store.summary("models").repeated, store.summary("models").confirmation) == (True, None)
        store.confirm("models", {"top": 1})
        assert store.summary("models").confirmation == {"top": 1}


def test_unknown_names_say_what_there_is(store: Store, study: StudyRecord, new_trial: NewTrial) -> None:
    shown = store._database.shown
    with pytest.raises(ResultsError) as error:
        store.trials("model")
    assert str(error.value) == f"no study model in {shown}; there are: models"
    with pytest.raises(ResultsError, match=r"^study models has no trial 7$"):
        store.epochs("models", 7)
    assert store.trial("models", 7) is None
    with pytest.raises(ResultsError, match=r"^trial 0 of study models exists already$"):
        new_trial(store, 0, seed=8)
    with pytest.raises(ResultsError) as error:
        store.add_study(replace(study, created_at=study.created_at + timedelta(seconds=1)))
    assert str(error.value) == f"the study models exists already in {shown}"


def test_an_empty_store_says_so(url: str) -> None:
    with Store.open(url) as store, pytest.raises(ResultsError, match=r"there is none yet$"):
        store.counts("models")


def test_many_threads_lose_nothing(store: Store) -> None:
    """Every thread adds its own epochs and all add epoch 1: it is kept once, the others all."""
    kept: list[bool] = []

    def work(thread: int) -> None:
        kept.append(store.add_epoch("models", 0, EpochRecord(1, 0.5, {})))
        for step in range(5):
            assert store.add_epoch("models", 0, EpochRecord(10 + 5 * thread + step, 0.5, {}))
            assert store.trials("models")

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept) == [False] * 7 + [True]
    assert [epoch.epoch for epoch in store.epochs("models", 0)] == [1, *range(10, 50)]


def test_trials_are_read_in_one_query(store: Store, new_trial: NewTrial) -> None:
    for number in range(1, 30):
        new_trial(store, number)
    asked: list[str] = []
    event.listen(store._database._engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert [trial.number for trial in store.trials("models")] == list(range(30))
    assert len([statement for statement in asked if "sweep_trials" in statement]) == 1


def test_a_failed_transaction_changes_nothing(store: Store) -> None:
    before = store.trial("models", 0)
    with pytest.raises(RuntimeError), store._database.write() as session:
        session.execute(text("UPDATE sweep_trials SET state = 'failed'"))
        raise RuntimeError
    assert store.trial("models", 0) == before
