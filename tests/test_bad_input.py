"""What a user may do wrong at `sweep start`: the exact line, exit code 1, and nothing made or lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import NUCLEI, SPACE, Desk
from made_up import Bench, run

from runner.catalog import MODELS
from sweeps.leases.coordinator import Coordinator
from sweeps.study.setup import locate_data

PICTURES, LABELS = NUCLEI.parent / "val", NUCLEI.parent / "val.json"
DATA = f"""\
name: small
train: {{images: pictures, annotations: labels.json}}
val: {{images: {NUCLEI.parent}/train, annotations: {NUCLEI.parent}/train.json}}
"""
GOOD = SPACE.format(data="data.yaml")


@pytest.fixture
def own(desk: Desk) -> Desk:
    """A desk with a good space, and with data that a test may break."""
    desk.write(GOOD)
    desk.write(DATA, "data.yaml")
    (desk.folder / "pictures").symlink_to(PICTURES)
    shutil.copy(LABELS, desk.folder / "labels.json")
    return desk


def everything(desk: Desk) -> dict[str, bytes]:
    """All files at the desk but locks, with what is in them."""
    files = [path for path in desk.folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(desk.folder)): path.read_bytes() for path in files}


def refused(desk: Desk, *arguments: str | Path) -> list[str]:
    """What `sweep start` says before it ends with 1; it changes no file."""
    before = everything(desk)
    done = desk.run("start", *(arguments or ("space.yaml",)), timeout=60)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr and "should not happen" not in done.stderr
    assert everything(desk) == before
    return [line for line in done.stderr.splitlines() if not line.startswith("checking ")]


# the space


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("mask_rcnn", "mask_rcn", ["4:9: fixed.model: unknown model mask_rcn; did you mean mask_rcnn?"]),
        ("mask_rcnn", "xyz", ["4:9: fixed.model: unknown model xyz; write one of {models}"]),
        ("scale: tiny", "scael: tiny", ["3:1: scael: unknown key scael; did you mean scale?"]),
        ("epochs: 4", "epochs: four", ["4:47: fixed.epochs: expected a whole number, found 'four'"]),
        ("epochs: 4", "epochs: 1e-4", ["4:47: fixed.epochs: expected a whole number, found 0.0001"]),
        ("{seed: [0]}", "{lr: {float: [0.1, 0.01]}}", [
            "5:15: search.lr.float: expected low below high, found low 0.1 and high 0.01; write [0.01, 0.1]",
        ]),
        ("{seed: [0]}", "{seed: []}", ["5:10: search.seed: expected at least one value, found an empty list"]),
        ("{seed: [0]}", "{seed: [0}", [
            "5:18: YAML syntax: expected ',' or ']', but got '}}' (while parsing a flow sequence that begins at 5:16)",
        ]),
        ("{seed: [0]}", "{seed: [!!python/object/apply:os.mkdir [HACKED]]}", [
            "5:17: search.seed[0]: the tag !!python/object/apply:os.mkdir is not allowed; write plain values",
        ]),
        ("mask_rcnn", "!!python/name:os.system x", [
            "4:16: fixed.model: the tag !!python/name:os.system is not allowed; write plain values",
        ]),
        ("data: data.yaml", "data: date.yaml", [
            "2:1: data: expected demo or a data file, found date.yaml, and there is no such file in {folder}; "
            "did you mean data.yaml?",
        ]),
        ("epochs: 4", "epochs: 0", ["4:47: fixed.epochs: expected a whole number from 1 to 10000, found 0"]),
        ("trials: 1", "trials: -1", ["6:10: budget.trials: expected a whole number from 1, found -1"]),
    ],
)  # fmt: skip
def test_a_mistake_in_the_space(own: Desk, old: str, new: str, lines: list[str]) -> None:
    assert old in GOOD
    own.write(GOOD.replace(old, new, 1))
    assert refused(own) == [f"space.yaml:{line.format(folder=own.folder, models=', '.join(MODELS))}" for line in lines]
    assert not (own.folder / "HACKED").exists()


def test_all_mistakes_are_told_at_once(own: Desk) -> None:
    own.write(GOOD.replace("mask_rcnn", "mask_rcn").replace("scale: tiny", "scael: tiny"))
    assert refused(own, "space.yaml", "--set", "fixed.epochs=soon") == [
        "space.yaml:3:1: scael: unknown key scael; did you mean scale?",
        "space.yaml:4:9: fixed.model: unknown model mask_rcn; did you mean mask_rcnn?",
        "--set:1:1: fixed.epochs: expected a whole number, found 'soon'",
    ]


def test_a_number_written_1e_4_is_a_number(own: Desk) -> None:
    own.write(GOOD.replace("{seed: [0]}", "{lr: {float: [1e-4, 1E-3], log: true}}"))
    document = own.json("plan", "space.yaml")
    assert document["varies"] == [{"key": "lr", "float": [0.0001, 0.001], "log": True}]
    assert own.json("check", "space.yaml", "--set", "search.lr=[1e-5, 2e-5]")["ok"]


def test_a_space_that_is_not_there(own: Desk) -> None:
    assert refused(own, "spaec.yaml") == ["spaec.yaml:1:1: there is no such file; did you mean space.yaml?"]
    assert refused(own, own.folder) == [f"{own.folder}:1:1: expected a YAML file, found a folder"]


def test_a_path_that_is_not_in_the_rendered_config(own: Desk) -> None:
    own.write(GOOD + "config:\n  model.rpn_head.los_cls.loss_weight: 2.0\n")
    there = "anchor_generator, bbox_coder, feat_channels, in_channels, loss_bbox, loss_cls, type"
    override = "config.model.roi_heads.mask_head.num_convs=2"
    lines = refused(own, "space.yaml", "--set", "fixed.epochs=5", "--set", override)
    assert lines[0] == (
        "space.yaml:8:3: config.model.rpn_head.los_cls.loss_weight: mask_rcnn with resnet18: model.rpn_head.los_cls "
        f"is not in the rendered config, there are {there}; +model.rpn_head.los_cls.loss_weight adds one"
    )
    assert lines[1].startswith(
        "--set:2:1: config.model.roi_heads.mask_head.num_convs: mask_rcnn with resnet18: model.roi_heads is not in "
        "the rendered config, there are backbone, data_preprocessor, neck, roi_head, rpn_head, "
    )
    assert len(lines) == 2


# the data


def test_a_data_file_that_is_not_there(own: Desk) -> None:
    assert refused(own, "space.yaml", "--data", "nowhere.yaml") == [
        f"--data:1:1: data: expected demo or a data file, found nowhere.yaml, and there is no such file in {own.folder}"
    ]


def test_a_folder_of_images_that_is_not_there(own: Desk) -> None:
    own.write(DATA.replace("images: pictures", "images: picturse", 1), "data.yaml")
    assert refused(own) == [
        f"{own.folder}/data.yaml:2:9: train.images: no such folder: {own.folder}/picturse; did you mean pictures?"
    ]


def test_check_looks_into_the_data_file(own: Desk) -> None:
    own.write(GOOD.replace("mask_rcnn", "mask_rcn"))
    own.write(DATA.replace("images: pictures", "images: picturse", 1), "data.yaml")
    done = own.run("check", "space.yaml", timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{own.folder}/data.yaml:2:9: train.images: no such folder: {own.folder}/picturse; did you mean pictures?",
        "space.yaml:4:9: fixed.model: unknown model mask_rcn; did you mean mask_rcnn?",
    ]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("labels.json", "this is a COCO label file; name it in a data file with the lines `train: {images: FOLDER, "
         "annotations: labels.json}` and `val: {split: 0.2}`"),
        ("space.yaml", "this is a search space; a data file has the lines `train: {images: FOLDER, annotations: FILE}` "
         "and `val: {split: 0.2}`"),
    ],
)  # fmt: skip
def test_another_kind_of_file_is_no_data_file(own: Desk, name: str, line: str) -> None:
    for arguments in (["check", "space.yaml", "--data", name], ["data", "check", own.folder / name]):
        done = own.run(*arguments, timeout=60)
        assert (done.returncode, done.stderr) == (1, f"{own.folder}/{name}:1:1: {line}\n")


def test_labels_that_are_not_there(own: Desk) -> None:
    (own.folder / "labels.json").unlink()
    assert refused(own) == [
        f"{own.folder}/data.yaml:2:27: train.annotations: no such file: {own.folder}/labels.json",
    ]


def test_labels_that_are_cut_off(own: Desk) -> None:
    path = own.folder / "labels.json"
    path.write_bytes(path.read_bytes()[:1000])
    lines = refused(own)
    assert len(lines) == 1
    assert lines[0].startswith(
        f"sweep: {path}: is cut off: the JSON ends unfinished at byte 1000 (line 1, column 1001); copy or download it "
    )
    assert lines[0].endswith(f" again (run: sweep data check {own.folder}/data.yaml)")


def test_labels_of_a_category_that_does_not_exist(own: Desk) -> None:
    path = own.folder / "labels.json"
    document = json.loads(path.read_text())
    document["annotations"][3]["category_id"] = 99
    path.write_text(json.dumps(document))
    assert refused(own) == [
        f"sweep: {path}: annotations[3].category_id: category 99 is not among the categories: 1 (nucleus) "
        f"(run: sweep data check {own.folder}/data.yaml)"
    ]


# the database


def test_a_database_of_another_program(own: Desk) -> None:
    with sqlite3.connect(own.folder / "shop.db") as database:
        database.execute("create table customers (name text)")
        database.execute("insert into customers values ('Ann')")
    database.close()
    assert refused(own, "space.yaml", "--storage", "sqlite:///shop.db") == [
        "sweep: shop.db belongs to another program (it has the tables customers); name another --storage"
    ]


def test_a_database_that_is_a_text(own: Desk) -> None:
    own.write("day, nuclei\n" * 50, "counts.csv")
    assert refused(own, "space.yaml", "--storage", "sqlite:///counts.csv") == [
        "sweep: counts.csv is not an SQLite database (file is not a database); name another --storage"
    ]


def test_a_database_in_a_folder_that_is_not_there(own: Desk) -> None:
    assert refused(own, "space.yaml", "--storage", "sqlite:///results/sweeps.db") == [
        f"sweep: {own.folder}/results: no such folder; name another database with --storage sqlite:///PATH"
    ]
    assert not (own.folder / "results").exists()


@pytest.mark.parametrize("storage", ["sweeps.db", "mysql://host/sweeps"])
def test_a_storage_that_is_no_url_of_ours(own: Desk, storage: str) -> None:
    examples = "write sqlite:///sweeps.db or postgresql+psycopg://USER@HOST/DATABASE"
    line = f"not a storage URL: {storage!r}" if ":" not in storage else "storage of the kind mysql is not supported"
    assert refused(own, "space.yaml", "--storage", storage) == [f"sweep: {line}; {examples}"]


# folders that cannot be written


@pytest.fixture
def sealed(own: Desk) -> Iterator[Path]:
    """A folder that nobody can write into, root neither."""
    folder = own.folder / "sealed"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"root may write everywhere, and nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def reason() -> str:
    return "read-only file system" if os.geteuid() == 0 else "permission denied"


def test_a_database_in_a_sealed_folder(own: Desk, sealed: Path) -> None:
    assert refused(own, "space.yaml", "--storage", "sqlite:///sealed/sweeps.db") == [
        f"sweep: {sealed}: not writable; name another database with --storage sqlite:///PATH"
    ]


def test_a_sealed_folder_for_the_trials(own: Desk, sealed: Path) -> None:
    assert refused(own, "space.yaml", "--work-dir", "sealed/work") == [
        f"sweep: sealed/work: {reason()}; name another folder with --work-dir"
    ]


def test_a_sealed_folder_for_the_trials_and_a_split(own: Desk, sealed: Path) -> None:
    own.write(DATA.splitlines()[1] + "\nval: {split: 0.2}\n", "data.yaml")
    lines = refused(own, "space.yaml", "--work-dir", "sealed/work")
    assert lines == [f"sweep: sealed/work/small/data cannot be written: {reason().capitalize()}"]


# a study that is there already


@pytest.fixture
def begun(own: Desk) -> Desk:
    """A desk whose study has one complete trial, with made-up figures."""
    paths = locate_data(str(own.folder / "data.yaml"), "tiny", own.folder / "work_dirs" / "small" / "data")
    with Bench(own.folder, GOOD, data=paths).study() as study:
        assert run(Coordinator(study)) == [0]
    return own


def test_a_finished_study_started_again_prints_its_ranking(begun: Desk) -> None:
    before = Bench(begun.folder).optuna("small")
    done = begun.run("start", "space.yaml", timeout=60)
    assert done.returncode == 0, done.stderr
    assert "0.1004000000" in done.stdout
    assert Bench(begun.folder).optuna("small") == before
    assert not list(begun.folder.glob("*.run"))
    assert not (begun.folder / "work_dirs" / "small" / "0").exists(), "nothing was trained"
    assert begun.json("status")["state"] == "finished"


def test_a_study_that_exists_with_another_space(begun: Desk) -> None:
    before = Bench(begun.folder).dump()
    assert refused_later(begun, "--set", "fixed.epochs=5", "--set", "search.seed=[0, 1]") == [
        "sweep: study small exists with another space: search.seed: [0] there, [0, 1] here; "
        "fixed.epochs: 4 there, 5 here; "
        "name another study with --set study=NAME, or another database with --storage"
    ]
    assert Bench(begun.folder).dump() == before


def test_data_that_changed_since_the_study_began(begun: Desk) -> None:
    before = Bench(begun.folder).dump()
    old = locate_data(str(begun.folder / "data.yaml"), "tiny", begun.folder / "unused").hash
    path = begun.folder / "labels.json"
    document = json.loads(path.read_text())
    document["annotations"].pop()
    path.write_text(json.dumps(document))
    new = locate_data(str(begun.folder / "data.yaml"), "tiny", begun.folder / "unused").hash
    assert refused_later(begun) == [
        f"sweep: study small: the data changed since it began: small has hash {new[:12]} now, {old[:12]} then; "
        "put the old data back, or name another study with --set study=NAME"
    ]
    assert Bench(begun.folder).dump() == before


def refused_later(desk: Desk, *arguments: str) -> list[str]:
    """As `refused`, where the database was opened before."""
    done = desk.run("start", "space.yaml", *arguments, timeout=60)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(desk.folder.glob("*.run"))
    return [line for line in done.stderr.splitlines() if not line.startswith("checking ")]
