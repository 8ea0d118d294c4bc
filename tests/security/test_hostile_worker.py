"""A worker that means harm: it has the token, but not other workers' trials."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from security.house import House, ask, house

from runner.protocol import Lease
from runner.wire.transfer import artifact_path
from sweeps.run.submit import _send_labels


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Lease]]:
    """A house with a second study, whose trial 0 somebody else holds."""
    with house(tmp_path_factory.mktemp("house")) as opened:
        assert opened.ask("POST", "/studies", json=opened.submission("yours").model_dump(mode="json")).is_success
        with opened.client() as client:
            _send_labels(client, "yours", opened.data)
            opened.team.registry.study("yours").resume()
            yield opened, ask(client, opened.team, "theirs", "yours")


def words(fence: int) -> dict[str, Any]:
    return {
        "heartbeat": {"fence": fence},
        "report": {"fence": fence, "report": {"epoch": 2, "metrics": {"segm_mAP": 1.0}}},
        "finish": {"fence": fence, "result": {"outcome": "complete", "config": "import os"}},
        "hand_back": {"fence": fence, "reason": "sabotage", "cause": "out_of_memory"},
    }


@pytest.mark.parametrize("step", [-1, 1, 7])
def test_a_trial_that_somebody_else_holds(two: tuple[House, Lease], step: int) -> None:
    opened, theirs = two
    before = opened.everything()
    for word, body in words(theirs.fence + step).items():
        answer = opened.ask("POST", f"/studies/yours/trials/{theirs.trial}/{word}", json=body)
        assert answer.status_code == 409, (word, answer.text)
    assert opened.everything() == before


@pytest.mark.parametrize(("study", "trial"), [("mine", 0), ("mine", 2), ("mine", 99), ("yours", 1), ("yours", 99)])
def test_a_trial_that_has_ended_or_not_begun(two: tuple[House, Lease], study: str, trial: int) -> None:
    opened, _ = two
    before = opened.everything()
    for word, body in words(1).items():
        assert opened.ask("POST", f"/studies/{study}/trials/{trial}/{word}", json=body).status_code == 409
    assert opened.everything() == before


@pytest.mark.parametrize("name", ["config.py", "last.pth", "best.pth", "train.log", "picture.png"])
def test_files_of_a_trial_that_somebody_else_holds(two: tuple[House, Lease], name: str) -> None:
    opened, theirs = two
    content = b"sabotage"
    sha256 = hashlib.sha256(content).hexdigest()
    before = opened.everything()
    for study, trial, fence in (("yours", theirs.trial, theirs.fence + 1), ("mine", 0, 1), ("yours", 1, 1)):
        path = artifact_path(study, trial, name)
        begin = {"fence": fence, "size": len(content), "sha256": sha256}
        assert opened.ask("POST", path, json=begin).status_code == 409
        query = {"fence": fence, "sha256": sha256, "size": len(content), "offset": 0}
        assert opened.ask("PUT", path, params=query, content=content).status_code == 409
        assert opened.ask("GET", path, params={"fence": fence}).status_code in (404, 409)
    assert opened.everything() == before


@pytest.mark.parametrize(
    "name",
    ["config.py ", "x.py", "last.pth.png.py", "..", "a.b.png", "-.png", "train.log.gz", "work.db", "x" * 65 + ".png"],
)
def test_files_by_names_that_there_are_not(two: tuple[House, Lease], name: str) -> None:
    opened, theirs = two
    begin = {"fence": theirs.fence, "size": 1, "sha256": "ab" * 32}
    before = opened.everything()
    answer = opened.ask("POST", artifact_path("yours", theirs.trial, name), json=begin)
    assert answer.status_code in (404, 405), answer.text
    assert opened.everything() == before


def test_a_file_that_is_not_what_was_announced_does_not_count(two: tuple[House, Lease]) -> None:
    opened, theirs = two
    path, sha256 = artifact_path("yours", theirs.trial, "last.pth"), hashlib.sha256(b"good").hexdigest()
    assert opened.ask("POST", path, json={"fence": theirs.fence, "size": 4, "sha256": sha256}).is_success
    query = {"fence": theirs.fence, "sha256": sha256, "size": 4, "offset": 0}
    assert opened.ask("PUT", path, params=query, content=b"evil").status_code == 422
    assert opened.ask("GET", path).status_code == 404


def test_a_file_that_is_announced_too_large(two: tuple[House, Lease]) -> None:
    opened, theirs = two
    for size in (2**50, 10**30, -1):
        begin = {"fence": theirs.fence, "size": size, "sha256": "ab" * 32}
        answer = opened.ask("POST", artifact_path("yours", theirs.trial, "last.pth"), json=begin)
        assert answer.status_code in (413, 422, 507), answer.text


def test_labels_are_named_by_their_content(two: tuple[House, Lease]) -> None:
    """Nobody replaces the labels of another study: what is kept under a hash has that hash."""
    opened, _ = two
    taken = opened.data.labels[0]
    before = opened.everything()
    answer = opened.ask("PUT", f"/studies/yours/data/{taken}", params={"offset": 0, "size": 2}, content=b"{}")
    assert answer.status_code in (200, 409, 422)
    kept = opened.ask("GET", f"/studies/yours/data/{taken}").content
    assert hashlib.sha256(kept).hexdigest() == taken
    assert opened.everything() == before


def test_what_a_worker_sends_is_never_run_or_opened_as_code(two: tuple[House, Lease], tmp_path: Path) -> None:
    """A config is text and a checkpoint is bytes: the server hands both on as they came, as no page of a browser."""
    opened, theirs = two
    marker = tmp_path / "ran"
    config = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n<script>alert(1)</script>"
    end = {"fence": theirs.fence, "result": {"outcome": "failed", "reason": "x", "config": config}}
    assert opened.ask("POST", f"/studies/yours/trials/{theirs.trial}/finish", json=end).is_success
    answer = opened.ask("GET", f"/studies/yours/trials/{theirs.trial}/config")
    assert answer.text == config and answer.headers["content-type"].startswith("text/x-python")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not marker.exists()
