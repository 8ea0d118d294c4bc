"""The index of artifacts, in a database of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from results.artifacts import ArtifactIndex, ArtifactRecord
from results.errors import NotFoundError, ResultsError
from results.records import EpochRecord, StudyRecord
from results.store import Store

ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def index(any_url: str, study: StudyRecord, new_trial: Callable[..., None]) -> Iterator[ArtifactIndex]:
    with Store.open(any_url) as store:
        store.add_study(study)
        for number in range(3):
            new_trial(store, number)
        index = ArtifactIndex(store)
        index.store = store  # type: ignore[attr-defined]
        yield index


def put(index: ArtifactIndex, trial: int | None, name: str, artifact_id: str, size: int = 5) -> ArtifactRecord:
    index.expect(artifact_id)
    index.put("models", trial, name, size=size, sha256=ONE, artifact_id=artifact_id)
    found = index.find("models", trial, name)
    assert found
    return found


def test_an_artifact_is_kept_found_and_replaced(index: ArtifactIndex) -> None:
    assert index.find("models", 0, "last.pth") is None and index.total() == 0
    index.expect("a")
    assert index.loose() == ["a"]
    first = put(index, 0, "last.pth", "a", size=2**40)
    assert (first.study, first.trial, first.name, first.size, first.sha256) == ("models", 0, "last.pth", 2**40, ONE)
    assert index.loose() == []
    put(index, 0, "last.pth", "a", size=2**40)  # the answer was lost, and it is said again
    index.gone(["a"])
    second = put(index, 0, "last.pth", "b")
    assert index.find("models", 0, "last.pth") == second and second.artifact_id == "b"
    assert index.loose() == ["a"] and index.total() == 5
    index.gone(["a"])
    assert index.loose() == []


def test_artifacts_of_trials_and_of_the_data_are_apart(index: ArtifactIndex) -> None:
    kept = [put(index, 1, "best.pth", "a"), put(index, 1, "config.py", "b"), put(index, 2, "config.py", "c")]
    labels = put(index, None, ONE, "d")
    assert labels.trial is None
    assert index.of_trial("models", 1) == kept[:2]
    assert index.of_trial("models", None) == [labels]
    assert index.of_trial("other", 1) == []
    assert [(one.artifact, one.state, one.score) for one in index.held()] == [(one, "waiting", None) for one in kept]


def test_artifacts_come_with_the_state_of_their_trial(index: ArtifactIndex) -> None:
    store: Store = index.store  # type: ignore[attr-defined]
    put(index, 0, "last.pth", "a")
    put(index, 1, "last.pth", "b")
    store.add_epoch("models", 0, EpochRecord(1, 0.25, {}))
    store.finish("models", 0, state="complete")
    store.lease("models", 1, fence=1, worker="w", owner="Ann", device="cpu")
    assert [(one.artifact.trial, one.state, one.score) for one in index.held()] == [
        (0, "complete", 0.25), (1, "running", None),
    ]  # fmt: skip


def test_what_is_dropped_is_loose_unless_it_was_replaced_meanwhile(index: ArtifactIndex) -> None:
    first, second = put(index, 0, "last.pth", "a"), put(index, 1, "last.pth", "b")
    put(index, 1, "last.pth", "c")
    index.gone(["b"])
    index.drop([first, second])
    assert index.find("models", 0, "last.pth") is None
    newest = index.find("models", 1, "last.pth")
    assert newest and newest.artifact_id == "c"
    assert index.loose() == ["a"]
    index.drop([])
    index.drop([first])
    assert index.loose() == ["a"]


def test_only_trials_that_there_are_have_artifacts(index: ArtifactIndex) -> None:
    index.require("models", 2)
    index.require("models", None)
    for study, trial, line in (("models", 3, "study models has no trial 3"), ("other", None, "no study other in ")):
        with pytest.raises(NotFoundError, match=f"^{line}"):
            index.require(study, trial)
        with pytest.raises(NotFoundError, match=f"^{line}"):
            index.put(study, trial, "last.pth", size=1, sha256=ONE, artifact_id="x")
    assert index.held() == []


def test_an_id_means_one_artifact(index: ArtifactIndex) -> None:
    put(index, 0, "last.pth", "a")
    with pytest.raises(ResultsError):
        index.put("models", 1, "last.pth", size=5, sha256=OTHER, artifact_id="a")
    assert index.find("models", 1, "last.pth") is None
