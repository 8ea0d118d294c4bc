"""Which checkpoints go: those of the worst, never the best, never one that a training goes on from."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from depot import STUDY, Depot, add_trial, last, noise, read, send, sha256, study_record
from hypothesis import given
from hypothesis import strategies as st

from results.artifacts import ArtifactRecord, TrialArtifact
from results.records import STATES, TrialState
from runner.wire.transfer import CHECKPOINTS
from sweeps.artifacts import Limits, Place
from sweeps.artifacts.errors import NoRoomError
from sweeps.artifacts.keep import BEST, decide, shown

START = datetime(2026, 11, 1, tzinfo=UTC)
ALWAYS = ("config.py", "train.log", "curve.png")


def held(
    trial: int, state: TrialState = "complete", score: float | None = 0.5, name: str = "last.pth", size: int = 10,
    study: str = "s", age: int = 0, failure: str | None = None,
) -> TrialArtifact:  # fmt: skip
    artifact = ArtifactRecord(study, trial, name, size, "", f"{study}/{trial}/{name}", START - timedelta(hours=age))
    return TrialArtifact(artifact, state, score, failure)


def gone(*args: object, **kwargs: object) -> list[tuple[str, int | None, str]]:
    return [(one.study, one.trial, one.name) for one in decide(*args, **kwargs).delete]  # type: ignore[arg-type]


def test_the_best_three_keep_their_checkpoints_and_everybody_the_rest() -> None:
    scores = [0.1, 0.5, 0.3, 0.4, 0.2]
    files = [held(n, score=s, name=name) for n, s in enumerate(scores) for name in ("last.pth", "best.pth", *ALWAYS)]
    assert gone(files) == [("s", n, name) for n in (0, 4) for name in ("last.pth", "best.pth")]
    assert gone(files, best={"s": 1}) == [("s", n, name) for n in (0, 2, 3, 4) for name in ("last.pth", "best.pth")]
    assert gone(files, best={"s": 5}) == []
    assert gone(files, best={"s": 0}) == gone(files, best={"s": 1}), "the best one is always kept"


def test_of_equal_scores_the_first_is_the_better() -> None:
    assert gone([held(n) for n in range(5)]) == [("s", 3, "last.pth"), ("s", 4, "last.pth")]


def test_what_is_to_be_scored_on_images_held_out_stays_while_the_budget_allows_it() -> None:
    files = [held(n, score=0.5 - n / 100) for n in range(6)]
    spared = {"s": (2, 5)}
    assert gone(files, best={"s": 2}, spared=spared) == [("s", 3, "last.pth"), ("s", 4, "last.pth")]
    tight = [number for _, number, _ in gone(files, best={"s": 2}, spared=spared, budget=30)]
    assert tight == [3, 4, 1], "the second best goes before those"
    assert [number for _, number, _ in gone(files, best={"s": 2}, spared=spared, budget=10)][-2:] == [2, 5]


def test_the_leading_combination_comes_first() -> None:
    files = [held(n, score=score) for n, score in enumerate([0.62, 0.60, 0.59, 0.585, 0.58])]
    assert gone(files, leading={"s": [(3, 4)]}) == [("s", 2, "last.pth"), ("s", 4, "last.pth")], "its best seed"
    assert gone(files, leading={"s": [(3, 4)]}, budget=10)[-1] == ("s", 0, "last.pth"), "and that one goes never"
    assert gone([*files[:3], files[4]], leading={"s": [(3, 4)]}, budget=10) == [("s", n, "last.pth") for n in (2, 1, 0)]
    assert gone(files, leading={"s": [(7,)], "t": [(4,)]}) == gone(files), "it has none here"
    two = {"s": [(3, 4), (2,)]}
    assert gone(files, leading=two) == [("s", 1, "last.pth"), ("s", 4, "last.pth")]
    assert gone(files, leading=two, best={"s": 1}, budget=10) == [("s", n, "last.pth") for n in (0, 1, 4)], "both stay"


def test_the_best_that_were_stopped_keep_theirs_until_room_is_short() -> None:
    files = [held(n, "pruned", score) for n, score in enumerate([0.9, 0.1, 0.3, 0.2])] + [held(4, score=0.5), held(5)]
    assert gone(files) == [("s", 1, "last.pth")]
    assert gone(files, budget=25) == [("s", n, "last.pth") for n in (1, 3, 2, 0)], "before any complete one"


def test_the_best_that_failed_and_would_go_on_keep_theirs_until_room_is_short() -> None:
    failures = ["time_out", "cancelled", "crashed", "lost_worker", "data_error"]
    files = [held(n, "failed", 0.5 - n / 10, failure=failure) for n, failure in enumerate(failures)]
    others = [held(5), *(held(n, "pruned", 0.9) for n in (6, 7, 8))]
    assert gone([*files, *others]) == [("s", 3, "last.pth"), ("s", 4, "last.pth")], (
        "pruned ones take no place of theirs"
    )
    assert gone([*files, *others], best={"s": 1}) == [("s", n, "last.pth") for n in (1, 2, 3, 4, 7, 8)]
    assert gone([*files, held(5)], budget=15) == [("s", n, "last.pth") for n in (3, 4, 2, 1, 0)]


@pytest.mark.parametrize(
    ("state", "failure"), [("failed", None), ("failed", "nan_loss"), ("infeasible", "out_of_memory")]
)
def test_trials_that_ended_otherwise_keep_none(state: TrialState, failure: str | None) -> None:
    ended = [held(0, state, 0.9, name, failure=failure) for name in ("last.pth", "train.log")]
    files = [*ended, held(1), held(2, score=None)]
    assert gone(files) == [("s", 0, "last.pth"), ("s", 2, "last.pth")]


def test_running_and_waiting_trials_keep_what_they_go_on_from() -> None:
    assert gone([held(n, "running", None) for n in range(9)] + [held(9, "waiting", 0.1, "best.pth")], budget=1) == []


def test_a_budget_takes_the_worst_first_and_the_oldest_of_equals() -> None:
    files = [
        held(0, score=0.9, age=9), held(1, score=0.8), held(2, score=0.7), held(0, score=0.2, study="t", age=8),
        held(1, score=0.1, study="t", age=7), held(2, score=0.0, study="t", age=5),
    ]  # fmt: skip
    order = [("t", 2), ("s", 2), ("t", 1), ("s", 1)]  # third ones before second ones, older before newer
    for count in range(5):
        found = decide(files, budget=60 - 10 * count)
        assert [(one.study, one.trial) for one in found.delete] == order[:count]
        assert (found.over, found.line) == (0, None)
    found = decide(files, budget=15)
    assert [(one.study, one.trial) for one in found.delete] == order
    assert found.over == 5
    assert found.line == (
        "artifacts need 5 bytes more than the disk budget of 15 bytes; what is left are checkpoints of each study's "
        "best trial and of running trials, configs, logs and label files: raise --disk-budget"
    )
    assert gone(files, budget=60, others=1) == [("t", 2, "last.pth")]


trials = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["complete"] * len(STATES) + list(STATES)),
        "failure": st.sampled_from([None, "nan_loss", "time_out", "crashed"]),
        "score": st.none() | st.sampled_from([0.1, 0.2, 0.3]) | st.floats(-1, 1),
        "names": st.sets(st.sampled_from([*CHECKPOINTS, *ALWAYS])),
        "size": st.integers(0, 100),
        "age": st.integers(0, 5),
    }
)


@given(
    st.dictionaries(st.tuples(st.sampled_from("st"), st.integers(0, 12)), trials, min_size=4, max_size=20),
    st.dictionaries(st.sampled_from("st"), st.integers(0, 5)),
    st.none() | st.integers(0, 2000),
    st.integers(0, 500),
    st.dictionaries(st.sampled_from("st"), st.lists(st.sets(st.integers(0, 12)), max_size=2)),
)
def test_rules_hold_for_any_trials(
    made: dict[tuple[str, int], dict[str, object]],
    best: dict[str, int],
    budget: int | None,
    others: int,
    leading: dict[str, list[set[int]]],
) -> None:
    files = [
        held(number, one["state"], one["score"], name, one["size"], study, one["age"], one["failure"])  # type: ignore[arg-type]
        for (study, number), one in made.items()
        for name in sorted(one["names"])  # type: ignore[call-overload]
    ]
    decision = decide(files, best, budget, others, leading)
    deleted = {one.artifact_id for one in decision.delete}
    assert len(deleted) == len(decision.delete)
    kept = [one for one in files if one.artifact.artifact_id not in deleted]
    by_study: dict[str, list[TrialArtifact]] = defaultdict(list)
    for one in files:
        if one.state == "complete" and one.score is not None and one.artifact.name in CHECKPOINTS:
            by_study[one.artifact.study].append(one)
    for study, candidates in by_study.items():
        scores = {one.artifact.trial: one.score or 0.0 for one in candidates}
        groups = [group & set(scores) for group in leading.get(study, [])]
        first = {min(group, key=lambda trial: (-scores[trial], trial)) for group in groups if group}
        first = first or {min(scores, key=lambda trial: (-scores[trial], trial))}
        allowed = max(len(first), best.get(study, BEST))
        left = {one.artifact.trial for one in candidates if one in kept}
        firsts = [one for one in candidates if one.artifact.trial in first]
        assert all(one in kept for one in firsts), "the best seeds of the leading combinations keep their checkpoints"
        assert len(left) <= allowed
        assert budget is not None or len(left) == min(allowed, len(scores))
        whole = [t for t in left if all(one in kept for one in candidates if one.artifact.trial == t)]
        assert all(scores[t] >= scores[lost] for t in whole if t not in first for lost in set(scores) - left), (
            "nobody better went before the others"
        )
    for one in files:
        if one.state in ("running", "waiting") or one.artifact.name in ALWAYS:
            assert one in kept
    for one in kept:
        if one.artifact.name in CHECKPOINTS and one.state not in ("running", "waiting"):
            assert one.state in ("complete", "pruned", "failed") and one.score is not None
            assert one.state != "failed" or one.failure in ("time_out", "crashed")
    if budget is not None:
        total = others + sum(one.artifact.size for one in kept)
        assert decision.over == max(0, total - budget)
        assert (decision.line is None) == (decision.over == 0)
        if (
            decision.delete
            and decision.over == 0
            and gone(files, best, leading=leading) != [(one.study, one.trial, one.name) for one in decision.delete]
        ):
            assert total + decision.delete[-1].size > budget, "nothing went without need"
    else:
        assert (decision.over, decision.line) == (0, None)


def test_bytes_as_people_read_them() -> None:
    assert [shown(size) for size in (0, 999, 1500, 10**9, 2 * 10**14)] == [
        "0 bytes", "999 bytes", "1.5 kB", "1.0 GB", "200.0 TB",
    ]  # fmt: skip


# the rules at work


def test_the_rules_delete_rows_and_files(tmp_path: Path) -> None:
    depot = Depot(tmp_path, Limits(best={STUDY: 1}))
    with depot.store() as store:
        store.add_study(study_record("other"))
        add_trial(store, 0, "other")
    with depot.open() as artifacts:
        for trial in range(4):
            send(artifacts, last(trial), noise(1000, trial))
            send(artifacts, last(trial, "train.log"), b"log")
        send(artifacts, Place("other", 0, "last.pth"), b"running")
        depot.end(0, "complete", 0.3)
        depot.end(1, "complete", 0.4)
        depot.end(2, "failed")
        assert artifacts.tidy().line is None
        left = {
            (one.study, one.trial, one.name) for trial in range(4) for one in artifacts.index.of_trial(STUDY, trial)
        }
        assert left == {
            *((STUDY, trial, "train.log") for trial in range(4)), (STUDY, 1, "last.pth"), (STUDY, 3, "last.pth"),
        }  # fmt: skip
        assert len(depot.objects()) == 7 and artifacts.index.loose() == []
        assert read(artifacts, Place("other", 0, "last.pth")) == b"running"


def test_the_budget_holds_at_every_moment(tmp_path: Path) -> None:
    depot, sizes = Depot(tmp_path, Limits(budget=4_000_000)), []

    with depot.open() as artifacts:

        def send_slowly(place: Place, data: bytes) -> None:
            artifacts.begin(place, len(data), sha256(data))
            for start in range(0, len(data), 250_000):
                artifacts.put(place, len(data), sha256(data), start, data[start : start + 250_000])
                sizes.append(depot.size())

        def checkpoints() -> list[int]:
            return [trial for trial in range(4) if artifacts.index.find(STUDY, trial, "last.pth")]

        for trial in range(4):
            send_slowly(last(trial), noise(1_000_000, trial))
            if trial < 3:
                depot.end(trial, "complete", 0.1 + trial)
        assert checkpoints() == [0, 1, 2, 3]
        with pytest.raises(NoRoomError, match=r"artifacts need 100.0 kB more than the disk budget of 4.0 MB"):
            artifacts.begin(last(3, "best.pth"), 2_100_000, sha256(b""))
        assert checkpoints() == [0, 1, 2, 3], "what does not fit even then costs nobody anything"
        send_slowly(last(3, "best.pth"), noise(900_000, 9))
        assert checkpoints() == [1, 2, 3], "the worst goes"
        send_slowly(last(3, "train.log"), noise(1_000_000, 10))
        assert checkpoints() == [2, 3], "and the next one, until only the best trial's and the running one's are left"
        with pytest.raises(NoRoomError, match=r"artifacts need 100.0 kB more than the disk budget of 4.0 MB"):
            artifacts.begin(last(1, "train.log"), 200_000, sha256(noise(200_000)))
        assert read(artifacts, last(2)) == noise(1_000_000, 2)
        assert sizes[-1] == depot.size() == 3_900_000 and max(sizes) <= 4_000_000


def test_what_is_announced_takes_room_before_it_arrives(tmp_path: Path) -> None:
    depot = Depot(tmp_path, Limits(budget=1_000_000))
    first, second = noise(600_000, 1), noise(600_000, 2)
    with depot.open() as artifacts:
        artifacts.begin(last(0), len(first), sha256(first))
        with pytest.raises(NoRoomError, match=r"artifacts need 200.0 kB more"):
            artifacts.begin(last(1), len(second), sha256(second))
        artifacts.put(last(0), len(first), sha256(first), 0, first[:300_000])
    with depot.open() as artifacts:  # started again: what has arrived takes room, and can go on
        with pytest.raises(NoRoomError):
            artifacts.begin(last(1), 800_000, sha256(noise(800_000)))
        assert artifacts.begin(last(0), len(first), sha256(first)).offset == 300_000
        artifacts.put(last(0), len(first), sha256(first), 300_000, first[300_000:])
        depot.end(0, "pruned")
        send(artifacts, last(1), second)  # the pruned one's goes
        assert read(artifacts, last(1)) == second
        assert len(depot.objects()) == 1
