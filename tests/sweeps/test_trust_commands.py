"""From a worker's message to what people read: evidence through the study server into `sweep rank` and `compare`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from evidence import packed, training
from made_up import ASK, Bench, result

from results.statistics.evidence import unpack
from results.statistics.perimage import Evidence
from runner.protocol import EpochReport, Lease
from sweeps.access.remote import Remote
from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.registry import Registry

SPACE = """\
study: made_up
data: demo
scale: tiny
repeats: 3
fixed: {epochs: 1}
search: {model: [mask_rcnn, solov2]}
"""
QUALITY = {"mask_rcnn": 0.1, "solov2": 0.4}


def trained(lease: Lease) -> Evidence:
    return training(lease.trial, QUALITY[lease.combination.model.name])


def train(coordinator: Coordinator) -> None:
    """What workers do with every trial of the study, trainings apart."""
    while (lease := coordinator.lease(ASK).lease) is not None:
        evidence = trained(lease)
        figures = {"segm_mAP": evidence.figure("segm_mAP")}
        coordinator.report(lease.trial, lease.fence, EpochReport(epoch=1, metrics=figures, seconds=1.0))
        text = base64.b64encode(packed(evidence)).decode()
        coordinator.finish(lease.trial, lease.fence, result(evidence=text))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A finished study of two combinations with three seeds each."""
    bench = Bench(tmp_path, SPACE)
    with bench.study() as study:
        train(Coordinator(study))
    yield bench


def run(bench: Bench, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments, "--storage", bench.storage]) == 0
    return capsys.readouterr().out


def test_rank_says_what_it_can_tell_apart(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    document: dict[str, Any] = json.loads(run(bench, capsys, "rank", "--format", "json"))
    assert [(one["seeds"], one["group"]) for one in document["combinations"]] == [(3, [1, 1]), (3, [2, 2])]
    assert len(document["rows"]) == 6 and document["confidence"]["seed_freedom"] == 4
    assert [row["model"] for row in document["rows"][:3]] == ["solov2"] * 3
    lines = run(bench, capsys, "rank").splitlines()
    assert [line.split()[3] for line in lines[1:3]] == ["solov2", "mask_rcnn"] and lines[3].startswith("made_up: ")
    assert run(bench, capsys, "rank", "--runs").splitlines()[7].startswith("made_up: ")


def test_compare_by_combination_and_by_trial(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    ranked = json.loads(run(bench, capsys, "rank", "--format", "json"))
    best, worst = (one["combination"] for one in ranked["combinations"])
    found = json.loads(run(bench, capsys, "compare", best, worst, "--format", "json"))
    assert found["difference"] == pytest.approx(
        ranked["combinations"][0]["mean"] - ranked["combinations"][1]["mean"], abs=1e-12
    )
    assert found["verdict"].startswith("A beats B") and found["interval"][0] > 0
    assert len(found["images"]) == 50 and set(found["images"][0]) == {"id", "a", "b", "moves", "file"}
    text = run(bench, capsys, "compare", worst, best)
    assert "B beats A" in text and "images that speak most for B" in text
    assert "over 50 images and seeds" in run(bench, capsys, "compare", "0", "1")


def test_a_mistake_is_one_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "0", "77", "--storage", bench.storage]) == 1
    line = "sweep: there is no trial and no combination 77; sweep rank --format json lists both\n"
    assert capsys.readouterr().err == line


def test_over_http_as_well(bench: Bench) -> None:
    with bench.study() as study:
        registry = Registry()
        registry.add(Coordinator(study))
        with Server(create_app(registry, "token")) as server, Remote(server.url, "token") as remote:
            found = remote.evidence("made_up", [0, 5, 77])
            assert set(found) == {0, 5}
            assert unpack(found[5]).figure("segm_mAP") == study.row(5).score
            assert httpx.get(f"{server.url}/studies/made_up/trials/0/evidence", trust_env=False).status_code == 401


def test_what_is_no_evidence_ends_no_trial(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SPACE)
    with bench.study() as study:
        coordinator = Coordinator(study)
        for text in ("not base64!", base64.b64encode(b"not a file").decode()):
            lease = coordinator.lease(ASK).lease
            assert lease
            coordinator.report(lease.trial, lease.fence, EpochReport(epoch=1, metrics={"segm_mAP": 0.5}))
            coordinator.finish(lease.trial, lease.fence, result(evidence=text))
            assert study.row(lease.trial).state == "complete"
        assert study.store.evidence("made_up", [0, 1]) == {1: b"not a file"}


def test_a_trial_that_is_not_complete_keeps_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SPACE)
    with bench.study() as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        text = base64.b64encode(packed(trained(lease))).decode()
        coordinator.finish(lease.trial, lease.fence, result(outcome="pruned", evidence=text))
        assert study.store.evidence("made_up", [0]) == {}
