"""Real checkpoints on held-out images: the figures of the trial's own validation, and ``sweep confirm`` as a whole."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from desk import NUCLEI, Desk

from results.store import Store
from runner import scoring
from runner.data.guard import fingerprint
from runner.errors import UserError
from runner.protocol import Holdout
from sweeps.confirm.heldout import trained

FOLDER = NUCLEI.parent


def order(desk: Desk, **changes: object) -> scoring.Order:
    """Scores the trained trial on its own validation images, as if they had been held out."""
    images, labels = FOLDER / "val", FOLDER / "val.json"
    held = Holdout(images=str(images), annotations=str(labels), count=4, check=fingerprint(images, labels))
    with Store.open(f"sqlite:///{desk.folder}/sweeps.db", readonly=True) as store:
        record, trial, config = store.study("small"), store.trial("small", 0), store.config("small", 0)
    assert record and trial and config
    return scoring.Order.model_validate({
        "lease": trained(record, (), trial), "config": config, "threads": int(trial.versions["threads"]),
        "checkpoint": str(desk.folder / "work_dirs" / "small" / "0" / "last.pth"), "holdout": held, **changes,
    })  # fmt: skip


def test_a_checkpoint_scores_what_its_validation_said_to_the_last_digit(undisturbed: Desk, tmp_path: Path) -> None:
    row = undisturbed.json("rank")["rows"][0]
    found = scoring.score(order(undisturbed), tmp_path / "score")
    assert found.metrics["segm_mAP"] == row["score"]
    assert {name: found.metrics.get(name) for name in ("segm_mAP_50", "bbox_mAP")} == {
        name: row[name] for name in ("segm_mAP_50", "bbox_mAP")
    }
    assert found.evidence


@pytest.mark.slow
def test_what_cannot_be_scored_is_one_line(undisturbed: Desk, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match=r"could not be scored on the held-out images: .*broken\.pth") as error:
        scoring.score(order(undisturbed, checkpoint=str(broken)), tmp_path / "score")
    assert "\n" not in str(error.value)
    marker = tmp_path / "PWNED"
    for config, line in (
        (f"__import__('pathlib').Path({str(marker)!r}).touch()\n", "this is no config as sweep writes them"),
        ("model = {'type': 'SOLOv2', 'backbone': {}}\n", "renders another model of it than the one that was trained"),
    ):
        with pytest.raises(UserError, match=line):
            scoring.score(order(undisturbed, config=config), tmp_path / "score")
    assert not marker.exists(), "whoever sent the config of a trial runs nothing here"


SPACE = """\
study: held
data: data.yaml
scale: tiny
fixed: {model: mask_rcnn, backbone: resnet18, epochs: 3, image_size: 64, batch_size: 2}
search: {lr: [0.000001, 0.0025]}
"""


@pytest.mark.slow
def test_confirm_trains_scores_once_and_shows_it_again(desk: Desk) -> None:
    parts = {part: f"{{images: {FOLDER}/{part}, annotations: {FOLDER}/{part}.json}}" for part in ("train", "val")}
    lines = [f"{part}: {text}" for part, text in parts.items()]
    desk.write("\n".join(["name: nuclei", *lines, "holdout: {split: 0.3}", ""]), "data.yaml")
    desk.write(SPACE)
    assert desk.run("start", "space.yaml").returncode == 0
    arguments = ("confirm", "--top", "2", "--seeds", "1")
    done = desk.run(*arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("scoring 4 held-out images") == 2
    first = json.loads(done.stdout)
    assert first["holdout"]["images"] == 4 and len(first["rows"]) == 2
    assert {first["holdout"]["winner"]["combination"], first["baseline"]} <= {r["combination"] for r in first["rows"]}
    again = desk.run(*arguments, "--format", "json")
    assert json.loads(again.stdout) == first and "scoring" not in again.stderr
    with sqlite3.connect(desk.folder / "sweeps.db") as database:
        assert database.execute("SELECT count(*) FROM sweep_holdout").fetchone() == (2,)
    held = json.loads(next(desk.folder.rglob("holdout-*.json")).read_text())
    names = [image["file_name"] for image in held["images"]]
    trained = next(desk.folder.rglob("train-*.json")).read_text()
    assert not any(name in trained for name in names)
    table = desk.run(*arguments)
    assert table.returncode == 0 and "on 4 images that no trial and no ranking saw" in table.stdout
