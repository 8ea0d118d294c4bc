"""``sweep import``: the team's own tables beside a study, and who learns from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from made_up import Bench, run

from results.store import Store
from runner.errors import UserError
from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.hall import Hall
from sweeps.study.study import Study

WEEK_2 = """\
owner,model,score
A,SCNet_r50_fpn_1x (12 epochs),0.5861291233
B,SOLOv2,0.5393581245
C,Cascade Mask R-CNN_r50_fpn_1x,0.5850912865
C,Mask Scoring R-CNN_r50_fpn_1x,0.5636328897
D,Hybrid Task Cascade_r50_fpn_1x,0.5548114978
E,Mask R-CNN_r50_fpn_1x (organiser's baseline),0.5472226479
"""
WEEK_3 = """\
담당,증강,점수
B,all augmentation,0.5452023496
E,"resize: 1280,1024",0.6084128911
A,MinIoURandomCrop,0.6023441395
"""
MODELS = """\
study: made_up
data: demo
scale: tiny
fixed: {backbone: resnet50, epochs: 1}
search: {model: [mask_rcnn, cascade_mask_rcnn, ms_rcnn, htc, scnet, solov2], lr: {float: [0.001, 0.1], log: true}}
sampler: {kind: tpe}
budget: {trials: 30}
"""
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A study of models that has begun; week2.csv beside it, with the learning rate that the study searches."""
    bench = Bench(tmp_path, MODELS)
    with bench.study() as study:
        run(Coordinator(study), trials=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    lines = WEEK_2.splitlines()
    (tmp_path / "week2.csv").write_text("\n".join([f"{lines[0]},lr", *(f"{line},0.02" for line in lines[1:])]) + "\n")
    return bench


def imported(capsys: Captured, *arguments: str) -> dict[str, Any]:
    assert main(["import", *arguments, "--format", "json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_the_teams_names_are_understood(bench: Bench, capsys: Captured) -> None:
    found = imported(capsys, "week2.csv", "--metric", "segm_mAP", "--dry-run")
    assert found["imported"] is None
    assert [row["informs"] and row["informs"]["model"] for row in found["rows"]] == [
        "scnet", "solov2", "cascade_mask_rcnn", "ms_rcnn", "htc", "mask_rcnn",
    ]  # fmt: skip
    assert found["rows"][0]["informs"] == {"model": "scnet", "lr": 0.02}
    assert (found["rows"][0]["score"], found["rows"][0]["line"]) == (0.5861291233, 2)
    with Store.open(bench.storage, readonly=True) as store:
        assert store.imports("made_up") == []


def test_another_metric_is_kept_and_says_nothing_to_the_sampler(bench: Bench, capsys: Captured) -> None:
    found = imported(capsys, "week2.csv", "--metric", "test_server")
    assert (found["imported"], {row["informs"] is None for row in found["rows"]}) == (6, {True})
    assert {row["note"] for row in found["rows"]} == {"test_server is not the study's segm_mAP"}
    with bench.study() as study:
        assert priors(study) == []


def test_again_is_not_twice(bench: Bench, capsys: Captured) -> None:
    assert imported(capsys, "week2.csv", "--metric", "segm_mAP")["imported"] == 6
    assert imported(capsys, "week2.csv", "--metric", "segm_mAP")["imported"] == 0
    assert main(["import", "week2.csv", "--metric", "segm_mAP"]) == 0
    assert "rows: 6; 6 inform the sampler; 0 of them new and kept beside study made_up" in capsys.readouterr().out


def priors(study: Study) -> list[tuple[dict[str, Any], float]]:
    """What the sampler in memory knows besides the study's own trials."""
    trials = study.followers.proposer._sampler._study.get_trials(deepcopy=False)
    own = {row.score for row in study.store.trials("made_up")}
    return [(t.params, t.value) for t in trials if t.value is not None and t.value not in own]


def test_the_sampler_knows_them_after_every_start(bench: Bench, capsys: Captured) -> None:
    imported(capsys, "week2.csv", "--metric", "segm_mAP")
    for _ in range(2):
        with bench.study() as study:
            known = priors(study)
            assert len(known) == 6 and ({"model": "scnet", "lr": 0.02}, 0.5861291233) in known
            assert study.trials_left() == 29, "they spend no budget"
    assert len(bench.optuna()) == 1, "Optuna's tables hold what was trained here"


def test_a_sampler_follows_where_they_point(bench: Bench, capsys: Captured, tmp_path: Path) -> None:
    """Thirty good results of htc near lr 0.05, thirty bad ones of solov2: what is proposed next is near the good."""

    def near() -> int:
        with bench.study() as study:
            drawn = [study.followers.proposer.propose() for _ in range(12)]
        return sum(one["model"] == "htc" and one["lr"] > 0.02 for one in drawn if one)

    rows = ["model,lr,score"]
    rows += [f"htc,{0.045 + 0.0003 * n:.4f},{0.70 + n / 1000}" for n in range(30)]
    rows += [f"solov2,{0.001 + 0.0001 * n:.4f},{0.10 + n / 1000}" for n in range(30)]
    (tmp_path / "many.csv").write_text("\n".join(rows))
    before = near()
    imported(capsys, "many.csv", "--metric", "segm_mAP")
    assert before <= 1 and near() >= 4, "by chance 12 / 6 * 0.35 = 0.7 of them"


def test_they_stand_apart_from_the_ranking(bench: Bench, capsys: Captured) -> None:
    imported(capsys, "week2.csv", "--metric", "test_server")
    assert main(["rank", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["rows"]) == 1 and len(document["imported"]) == 6
    assert document["baseline"]["trial"] == 0
    assert main(["rank"]) == 0
    out = capsys.readouterr().out
    assert "imported, apart from the ranking: 6 with test_server; the sampler learns from none" in out
    lines = [line for line in out.splitlines() if line.startswith("imported 0.")]
    assert lines[0].startswith("imported 0.5861291233 A: SCNet_r50_fpn_1x (12 epochs)")
    assert main(["rank", "--format", "csv"]) == 0
    assert "SCNet" not in capsys.readouterr().out


def test_korean_headings_and_encodings(bench: Bench, capsys: Captured, tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "cp949"):
        (tmp_path / "week3.csv").write_bytes(WEEK_3.encode(encoding))
        found = imported(capsys, "week3.csv", "--metric", "segm_mAP", "--dry-run")
        assert [(row["owner"], row["what"]) for row in found["rows"]][1] == ("E", "resize: 1280,1024")
        assert {row["note"] for row in found["rows"]} == {"it does not say model, which the study searches"}


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ("htc,", "it does not say lr, which the study searches"),
        ("htc,0.5", "lr 0.5 is outside of what the study searches"),
        ("htc,fast", "lr fast is no number"),
        ("yolact,0.01", "model yolact is none of what the study searches"),
        ("HTC_r101_fpn_1x,0.01", "backbone resnet101 is not the study's resnet50"),
    ],
)
def test_a_row_that_does_not_fit_is_kept_with_the_reason(
    bench: Bench, capsys: Captured, tmp_path: Path, row: str, note: str
) -> None:
    (tmp_path / "one.csv").write_text(f"model,lr,score\n{row},0.5\n")
    found = imported(capsys, "one.csv", "--metric", "segm_mAP")
    assert (found["imported"], found["rows"][0]["informs"], found["rows"][0]["note"]) == (1, None, note)


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ("0.0025,step", None),
        ("2.5e-3,Step decay", None),
        (",", None),
        ("0.1,step", "lr 0.1 is not the study's 0.0025"),
        ("fast,step", "lr fast is not the study's 0.0025"),
        ("0.0025,cosine", "schedule cosine is not the study's step"),
    ],
)
def test_a_row_with_another_rate_or_schedule_than_the_study_has_informs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, row: str, note: str | None
) -> None:
    """The study searches models only and trains with SGD."""
    text = MODELS.replace(", lr: {float: [0.001, 0.1], log: true}", "").replace(
        "epochs: 1", "optimizer: SGD, lr: 0.0025"
    )
    with Bench(tmp_path, text).study():
        pass
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    (tmp_path / "one.csv").write_text(f"model,lr,schedule,score\nhtc,{row},0.5\n")
    found = imported(capsys, "one.csv", "--metric", "segm_mAP")
    informs = None if note else {"model": "htc"}
    assert (found["imported"], found["rows"][0]["informs"], found["rows"][0]["note"]) == (1, informs, note)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "model,score\nhtc,0.5\nscnet,58.6\nsolov2,\nms_rcnn,good\nmask_rcnn,nan\n",
            [
                "t.csv:3: score: expected a number from 0 to 1, found 58.6; write 0.586",
                "t.csv:4: score: expected a number from 0 to 1, found nothing; leave the row out, or write its score",
                "t.csv:5: score: expected a number from 0 to 1, found good",
                "t.csv:6: score: expected a number from 0 to 1, found nan",
            ],
        ),
        ("model,mine\nhtc,0.5\n", ["t.csv:1: score: no column of that name; found model, mine; call it one of score, "
                                   "점수, 성능, 결과"]),
        ("model,모델,score\nhtc,htc,0.5\n", ["t.csv:1: model: two columns of that meaning in model, 모델, score; leave "
                                           "one out"]),
        ("model,score\n", ["t.csv:1: no rows below the headings"]),
        ("", ["sweep: t.csv: is empty; the first line of a table has the headings"]),
        (
            "model,score,,\nhtc,30%,,\nhtc,0,31\nhtc\n",
            [
                "t.csv:2: score: expected a number from 0 to 1, found 30%; write 0.3",
                "t.csv:3: 3 cells under 2 headings; write decimals with a point, and a text with a comma in quotes",
                "t.csv:4: score: expected a number from 0 to 1, found nothing; leave the row out, or write its score",
            ],
        ),
        ('model,score\nhtc,"0,31"\n', ["t.csv:2: score: expected a number from 0 to 1, found 0,31; write 0.31"]),
        ("model;score\nhtc;0,31\n", ["t.csv:1: cells are separated by ';'; save it as CSV with commas"]),
        ("score,score\n1,1\n", ["t.csv:1: score: two columns of that meaning in score, score; leave one out"]),
        ('model,score\n"a\nb",0.5\n"htc,0.5\n', ["t.csv:4: a quotation mark opens a cell and none closes it"]),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_as_a_whole(
    bench: Bench, capsys: Captured, tmp_path: Path, text: str, lines: list[str]
) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert main(["import", "t.csv", "--metric", "segm_mAP"]) == 1
    assert capsys.readouterr().err.splitlines() == lines
    with Store.open(bench.storage, readonly=True) as store:
        assert store.imports("made_up") == []


def test_other_mistakes_are_one_line(bench: Bench, capsys: Captured) -> None:
    assert main(["import", "nowhere.csv", "--metric", "x"]) == 1
    assert capsys.readouterr().err == "sweep: nowhere.csv: no such file or directory\n"
    assert main(["import", "week2.csv", "--metric", "segm_map"]) == 2
    assert "there is no figure segm_map; did you mean segm_mAP?" in capsys.readouterr().err
    assert main(["import", "week2.csv"]) == 2
    assert "Missing option '--metric'" in capsys.readouterr().err


def test_a_running_study_is_not_written_into(bench: Bench, capsys: Captured) -> None:
    from sweeps import runfile

    lock = runfile.own(bench.storage)
    assert lock
    try:
        assert main(["import", "week2.csv", "--metric", "segm_mAP"]) == 1
        assert "is in use by another process" in capsys.readouterr().err
    finally:
        lock.release()


def test_a_server_takes_them_in_while_it_works(bench: Bench, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sampler knows them at once, each once; what a sampler in memory knows after a start is the same."""
    with bench.study() as study:
        coordinator = Coordinator(study)
        hall = Hall()
        hall.add(coordinator)
        monkeypatch.setenv("SWEEP_TOKEN", "secret")
        with Server(create_app(hall, "secret")) as server:
            arguments = ("week2.csv", "--metric", "segm_mAP", "--server", server.url)
            assert imported(capsys, *arguments, "--dry-run")["imported"] is None
            assert priors(study) == []
            assert imported(capsys, *arguments)["imported"] == 6
            assert imported(capsys, *arguments)["imported"] == 0
            known = priors(study)
        run(coordinator, trials=2)
    assert len(known) == 6 and ({"model": "scnet", "lr": 0.02}, 0.5861291233) in known
    with bench.study() as study:
        assert len(priors(study)) == 6


def test_a_server_believes_no_client(bench: Bench) -> None:
    """It interprets rows itself, and takes none that a file could not have."""
    with bench.study() as study:
        hall = Hall()
        hall.add(Coordinator(study))
        with Server(create_app(hall, "secret")) as server:
            url, headers = f"{server.url}/studies/made_up/imports", {"Authorization": "Bearer secret"}
            table = {"source": "t.csv", "metric": "segm_mAP", "keep": True}
            for row in ({"score": 1.5}, {"line": 0}, {"assignment": {"model": "htc"}}, {"cells": {"model": 3}}):
                row = {"line": 2, "cells": {"model": "htc"}, "score": 0.5, **row}
                assert httpx.post(url, json={**table, "rows": [row]}, headers=headers).status_code == 422
            row = {"line": 2, "cells": {"owner": "A\x1b[2J\x00", "model": "htc"}, "score": 0.5}
            answer = httpx.post(url, json={**table, "rows": [row]}, headers=headers)
        assert answer.status_code == 200 and answer.json()["rows"][0]["assignment"] is None
        assert [one.owner for one in study.store.imports("made_up")] == ["A?[2J?"]


def test_a_sampler_that_learns_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    bench = Bench(tmp_path)
    with bench.study() as study:
        run(Coordinator(study), trials=1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("model,lr,score\nsolov2,0.001,0.5\n")
    assert main(["import", "t.csv", "--metric", "segm_mAP"]) == 0
    out, err = capsys.readouterr()
    assert "the sampler of study made_up is exhaustive: it learns from no score" in err
    assert "inform" not in out and "learns" not in out and "rows: 1; 1 fit what the study searches; 1 of them" in out


def test_a_study_that_reads_otherwise_today_is_refused(bench: Bench, capsys: Captured) -> None:
    with Store.open(bench.storage) as store:
        store.touch_study("made_up", space_text=MODELS.replace("0.1]", "0.2]"))
    with pytest.raises(UserError, match="its space reads otherwise today"):
        from sweeps.session import reopened

        with Store.open(bench.storage, readonly=True) as store:
            record = store.study("made_up")
            assert record
            reopened(record, bench.folder)
