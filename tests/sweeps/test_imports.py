"""``sweep import``: the team's own tables beside a study, and who learns from them."""

from __future__ import annotations

import csv
import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from desk import NUCLEI, Desk
from made_up import Bench, data, run

from results.store import Store
from runner.errors import UserError
from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.registry import Registry
from sweeps.server.team import Team
from sweeps.study.setup import locate_data
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
E,"resize: 1024,1024",0.6041639844
E,"resize: 1280,1024",0.6084128911
E,"resize: 1333,800",0.6065363398
C,"equalize, brightness, contrast",0.6044010023
D,"albumentation (equalize, brightness, contrast)",0.6042227322
A,MinIoURandomCrop,0.6023441395
"""
BACKBONES = """\
owner,backbone,score
B,ResNet strikes back,0.1
B,EfficientNet,0.1
B,ConvNeXt,0.1
E,HRNet,0.1
E,Generalized Attention,0.1
C,GCNet,0.1
C,Res2Net,0.1
D,PVT,0.1
D,PVTv2,0.1
D,Swin,0.1
A,RegNet,0.1
A,ResNeSt,0.1
A,ResNeXt,0.1
"""
WEEK_4 = """\
owner,optimizer,score
B,RMSprop,0.1
B,Rprop,0.1
E,ASGD,0.1
E,LBFGS,0.1
C,Adadelta,0.1
C,Adagrad,0.1
D,NAdam,0.1
D,RAdam,0.1
A,SparseAdam,0.1
A,Adamax,0.1
"""
MODELS = """\
study: made_up
data: demo
scale: tiny
fixed: {backbone: resnet50, epochs: 12}
search: {model: [mask_rcnn, cascade_mask_rcnn, ms_rcnn, htc, scnet, solov2], lr: {float: [0.001, 0.1], log: true}}
sampler: {kind: tpe}
budget: {trials: 30}
"""
SPACES = Path(__file__).parents[2] / "search_spaces"
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


def shipped(folder: Path, name: str, *lines: str) -> Bench:
    """A study of one of our spaces at MMDetection's sizes, begun on data as large as the team's."""
    text = "\n".join([(SPACES / f"{name}.yaml").read_text(), *lines])
    bench = Bench(folder, text, data=data().model_copy(update={"n_train": 520}), scale="standard")
    with bench.study():
        pass
    return bench


@pytest.mark.parametrize(
    ("space", "table", "number"),
    [
        ("models", WEEK_2, 6),
        ("augmentations", WEEK_3, 7),
        ("backbones", BACKBONES, 13),
        ("optimizers", WEEK_4, 10),
        ("joint", WEEK_2, 6),
        ("joint", WEEK_3, 7),
    ],
)
def test_the_teams_tables_are_read_on_our_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, space: str, table: str, number: int
) -> None:
    shipped(tmp_path, space)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "week.csv").write_text(table)
    rows = imported(capsys, "week.csv", "--metric", "segm_mAP", "--dry-run")["rows"]
    assert [row["note"] for row in rows if row["informs"] is None] == []
    assert len(rows) == number


def test_what_a_row_leaves_out_is_mmdetections_default_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    shipped(tmp_path, "joint")
    monkeypatch.chdir(tmp_path)
    rows = ["Cascade Mask R-CNN_x101-32x4d_fpn_1x,MinIoURandomCrop", "Mask R-CNN (Swin),flip", "SOLOv2,flip", ",all"]
    (tmp_path / "t.csv").write_text("\n".join(["model,augmentation,score", *(f"{row},0.5" for row in rows)]))
    cascade, swin, solo, every = imported(capsys, "t.csv", "--metric", "segm_mAP")["rows"]
    sgd = "optimizer SGD, SGD.lr 0.0025, SGD.momentum 0.9, schedule step, layer_decay 1"
    assert cascade["note"] == (
        "assumed: flip before its augmentation, cascade_mask_rcnn.iou_low 0.5, cascade_mask_rcnn.iou_high 0.7, " + sgd
    )
    assert cascade["informs"]["backbone"] == "resnext101_32x4d"
    assert cascade["informs"]["augmentation"] == "flip + min_iou_random_crop", "MMDetection's own images are flipped"
    assert swin["note"].startswith("assumed: optimizer AdamW, AdamW.lr 3.53553e-05"), "by which MMDetection trains it"
    assert solo["note"].startswith("assumed: backbone resnet50, optimizer SGD, SGD.lr 0.00125, "), "half of the others'"
    assert every["note"] == f"assumed: model mask_rcnn, backbone resnet50, {sgd}"
    assert main(["import", "t.csv", "--metric", "segm_mAP", "--dry-run"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "learns: augmentation all line 2: assumed: flip before its augmentation" in out
    assert "rows: 4; 4 inform the sampler" in out
    assert main(["rank"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"imported 0.5000000000 -: all (t.csv); {every['note']}" in out


DEFAULTS = """\
study: made_up
data: demo
fixed: {epochs: 36, batch_size: 4}
search: {backbone: [resnet50, resnext101_32x4d, resnext101_64x4d], SEARCH}
sampler: {kind: tpe}
budget: {trials: 30}
"""
UNSAID = "it does not say {}, which the study searches, and the study does not try the default {}"


@pytest.mark.parametrize(
    ("search", "rows"),
    [
        ("model: [mask_rcnn, htc]", {
            "htc": "assumed: backbone resnet50",
            "HTC (36 epochs)": "assumed: backbone resnet50",
            "HTC_r50_fpn_1x": "epochs 12 is not the study's 36",
            "HTC (2x)": "epochs 24 is not the study's 36",
            "htc-without-semantic_x101-32x4d_fpn_20e_coco": "epochs 20 is not the study's 36",
            "Mask R-CNN_r50_fpn_ms-3x (12 epochs)": "epochs 12 is not the study's 36",
            "htc x101-32x4d 20e": "epochs 20 is not the study's 36",
            "htc r50 with dcn": "model htc r50 with dcn is none of what the study searches",
            "HTC (ResNeXt)": "backbone ResNeXt may be resnext101_32x4d or resnext101_64x4d",
            "htc,2": "batch_size 2 is not the study's 4",
            'htc,4,"1333, 800"': "assumed: backbone resnet50",
            "htc,4,1024x1024": "image_size 1024x1024 is not the study's 1333x800",
            ",4": "it names nothing that the study searches",
        }),
        ("model: [htc, scnet]", {",,,r50": UNSAID.format("model", "mask_rcnn")}),
        ("lr: {float: [0.001, 0.1], log: true}", {",,,r50": "assumed: lr 0.005"}),
        ("lr: {float: [0.01, 0.1], log: true}", {",,,r50": UNSAID.format("lr", "0.005")}),
        ("image_size: [640, 1024]", {",,,r50": UNSAID.format("image_size", "1333x800")}),
        ("optimizer: [AdamW], lr: [0.001, 0.0001]", {",,,r50,0.001": UNSAID.format("optimizer", "SGD")}),
        ("clip_grad: [1, 35]", {",,,r50": "it does not say clip_grad, which the study searches"}),
    ],
)  # fmt: skip
def test_nothing_is_assumed_but_what_would_have_been_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, search: str, rows: dict[str, str]
) -> None:
    """Neither what is near a default, nor against what a row says itself."""
    with Bench(tmp_path, DEFAULTS.replace("SEARCH", search), scale="standard").study():
        pass
    monkeypatch.chdir(tmp_path)
    lines = [f"0.5,{row}{',' * (5 - len(next(csv.reader([row]))))}" for row in rows]
    (tmp_path / "t.csv").write_text("\n".join(["score,model,batch size,image_size,backbone,lr", *lines]))
    found = imported(capsys, "t.csv", "--metric", "segm_mAP", "--dry-run")["rows"]
    assert [row["note"] for row in found] == list(rows.values())
    assert [row["informs"] is not None for row in found] == [note.startswith("assumed") for note in rows.values()]


def test_the_teams_weeks_lead_the_first_proposals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """The best of their thirteen rows are a large cascade on images of full size."""
    bench = shipped(tmp_path, "joint")
    monkeypatch.chdir(tmp_path)

    def led() -> int:
        with bench.study() as study:
            assert study.followers.proposer.propose(), "the defaults come first, whatever others found"
            drawn = [study.followers.proposer.propose() for _ in range(12)]
        sizes = ("resize_1280x1024", "resize_1333x800")
        return sum(one["model"] == "cascade_mask_rcnn" or one["augmentation"] in sizes for one in drawn if one)

    heading, *rows = WEEK_3.splitlines()
    week_3 = [
        f"{heading},model,backbone,epochs,iou_low,iou_high",
        *(f"{r},cascade,x101-32x4d,12,0.3,0.6" for r in rows),
    ]
    before = led()
    for name, text in (("week2.csv", WEEK_2), ("week3.csv", "\n".join(week_3))):
        (tmp_path / name).write_text(text)
        imported(capsys, name, "--metric", "segm_mAP")
    with bench.study() as study:
        assert len(priors(study)) == 13
    assert before <= 3 and led() >= 7


def priors(study: Study) -> list[tuple[dict[str, Any], float]]:
    """What the sampler in memory knows besides the study's own trials."""
    trials = study.followers.proposer._sampler._study.get_trials(deepcopy=False)
    own = {row.score for row in study.store.trials(study.record.name)}
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
        assert [(row["owner"], row["what"]) for row in found["rows"]][2] == ("E", "resize: 1280,1024")
        assert {row["note"] for row in found["rows"]} == {"it names nothing that the study searches"}


@pytest.mark.parametrize(
    ("row", "note"),
    [
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
        "epochs: 12", "epochs: 12, optimizer: SGD, lr: 0.0025"
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
        ("aug (cascade; 12 epochs),score\nflip,0.5\n", ["t.csv:1: aug (cascade; 12 epochs): more than a heading; write "
            "augmentation, and what holds for every row in columns of its own: model, backbone, epochs, ..."]),
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
    from sweeps.access import runfile

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
        registry = Registry()
        registry.add(coordinator)
        monkeypatch.setenv("SWEEP_TOKEN", "secret")
        with Server(create_app(registry, "secret")) as server:
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
        registry = Registry()
        registry.add(Coordinator(study))
        with Server(create_app(registry, "secret")) as server:
            url, headers = f"{server.url}/studies/made_up/imports", {"Authorization": "Bearer secret"}
            table = {"source": "t.csv", "metric": "segm_mAP", "keep": True}
            for row in ({"score": 1.5}, {"line": 0}, {"assignment": {"model": "htc"}}, {"cells": {"model": 3}}):
                row = {"line": 2, "cells": {"model": "htc"}, "score": 0.5, **row}
                assert httpx.post(url, json={**table, "rows": [row]}, headers=headers).status_code == 422
            row = {"line": 2, "cells": {"owner": "A\x1b[2J\x00", "model": "htc"}, "score": 0.5}
            answer = httpx.post(url, json={**table, "rows": [row]}, headers=headers)
        assert answer.status_code == 200 and answer.json()["rows"][0]["assignment"] == {"model": "htc", "lr": 0.001}
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
        from sweeps.study.setup import reopened

        with Store.open(bench.storage, readonly=True) as store:
            record = store.study("made_up")
            assert record
            reopened(record, bench.folder)


@pytest.fixture
def small(bench: Bench) -> Bench:
    """The study of models on real images, not begun yet; it has the budget for one trial."""
    text = MODELS.replace("data: demo", f"data: {NUCLEI}").replace("trials: 30", "trials: 1")
    folder = bench.folder / "small"
    folder.mkdir()
    (folder / "week2.csv").write_text((bench.folder / "week2.csv").read_text())
    (folder / "space.yaml").write_text(text)
    return Bench(folder, text, data=locate_data(str(NUCLEI), "tiny", folder / "data"))


def test_a_study_begins_with_a_table(small: Bench) -> None:
    """Its only trial has ended, so that nothing is trained here."""
    with small.study() as study:
        run(Coordinator(study))
    start = ("start", "space.yaml", "--scale", "tiny", "--import")
    desk = Desk(small.folder)
    done = desk.run(*start, "nowhere.csv", "--metric", "segm_mAP")
    assert (done.returncode, done.stderr) == (1, "sweep: nowhere.csv: no such file or directory\n")
    assert desk.run(*start, "week2.csv").returncode == 2
    for new in (6, 0):
        done = desk.run(*start, "week2.csv", "--metric", "segm_mAP")
        assert done.returncode == 0, done.stderr
        assert f"rows: 6; 6 inform the sampler; {new} of them new and kept beside study made_up; how" in done.stderr
    with small.study() as study:
        assert len(priors(study)) == 6


def test_a_study_begins_with_a_table_on_a_server(
    small: Bench, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_TOKEN", "secret")
    monkeypatch.setattr("sweeps.access.watch._POLL_SECONDS", 0.05)
    monkeypatch.chdir(small.folder)
    with Store.open(small.storage) as store:
        team = Team(store, small.storage, small.folder / "team")
        with Server(create_app(team.registry, "secret", team)) as server:

            def work() -> None:
                while not store.studies() or not store.imports("made_up"):
                    time.sleep(0.05)
                run(team.registry.study("made_up"))

            worker = threading.Thread(target=work, daemon=True)
            worker.start()
            code = main(["start", "space.yaml", "--scale", "tiny", "--import", "week2.csv", "--metric", "segm_mAP",
                         "--server", server.url])  # fmt: skip
            worker.join(timeout=60)
        assert code == 0 and len(store.imports("made_up")) == 6
    assert "rows: 6; 6 inform the sampler; 6 of them new" in capsys.readouterr().err
