from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sweeps.cli import main
from sweeps.cli.data import data

Document = dict[str, Any]
Write = Callable[[Document], Path]
NUCLEI = Path(__file__).parents[2] / "data" / "nuclei" / "data.yaml"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(data, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_check_of_real_data(tmp_path: Path) -> None:
    result = run("check", NUCLEI, "--out", tmp_path / "out", "--overlays", 2)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "nuclei"
    assert any("instances an image: min, median, max" in line and "16" in line for line in lines)
    assert lines[-2:] == [
        "no errors, 0 warnings: ready to train",
        f"4 pictures with their labels drawn in: {tmp_path}/out",
    ]
    assert len(list((tmp_path / "out").glob("*.png"))) == 4
    assert "checking train (134) ..." in result.stderr


def test_check_as_json(tmp_path: Path) -> None:
    result = run("check", NUCLEI, "--out", tmp_path, "--overlays", 1, "--format", "json")
    document = json.loads(result.stdout)
    assert document["ok"] and document["problems"] == [] and document["classes"] == ["nucleus"]
    assert document["parts"]["train"]["instances"] == 122
    assert document["parts"]["val"]["image_sizes"] == [{"width": 128, "height": 128, "images": 4}]
    assert sorted(document["parts"]["train"]["object_sizes"]) == ["max", "min", "p10", "p50", "p90"]
    assert [Path(path).parent for path in document["overlays"]] == [tmp_path, tmp_path]


def hackathon(folder: Path, annotations: str = "label(polygon)train.json") -> Path:
    path = folder / "hackathon.yaml"
    path.write_text(
        f'train: {{images: train, annotations: "{annotations}"}}\n'
        "val: {split: 0.34, seed: 0}\n"
        "test: {images: train}\n"
        "classes: [Normal]\n"
    )
    return path


def test_check_of_the_hackathons_layout(tmp_path: Path, labels: Write, sound: Document) -> None:
    labels(sound).rename(tmp_path / "label(polygon)train.json")
    result = run("check", hackathon(tmp_path), "--overlays", 0, "--format", "json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0 and document["overlays"] == []
    assert [document["parts"][part]["images"] for part in ("train", "val")] == [2, 1]


def test_broken_labels(tmp_path: Path, labels: Write, sound: Document) -> None:
    sound["annotations"][0]["segmentation"] = []
    sound["annotations"][1]["area"] = 1000
    labels(sound).rename(tmp_path / "label(polygon)train.json")
    file = hackathon(tmp_path)
    result = run("check", file, "--overlays", 0)
    assert result.exit_code == 1
    labels_file = f"{tmp_path}/label(polygon)train.json"
    assert result.stdout.splitlines()[-3:] == [
        f"error: {labels_file}: annotations[0].segmentation: annotation 11 of a.png: empty polygon;"
        " remove the annotation, or draw it again",
        f"warning: {labels_file}: annotations[1].area: annotation 12 of a.png: area 1000,"
        " the mask has 100 pixels; scores by size use it",
        "1 error, 1 warning: no sweep starts before the errors are mended",
    ]
    document = json.loads(run("check", file, "--overlays", 0, "--format", "json").stdout)
    assert not document["ok"]
    assert document["problems"][0] == {
        "part": "train",
        "file": labels_file,
        "line": None,
        "column": None,
        "key": "annotations[0].segmentation",
        "message": "annotation 11 of a.png: empty polygon",
        "suggestion": "remove the annotation, or draw it again",
        "fatal": True,
    }


def test_names_in_brackets_are_names(tmp_path: Path, labels: Write, sound: Document) -> None:
    sound["categories"][0]["name"] = "[red]Normal"
    labels(sound)
    file = hackathon(tmp_path, "train.json")
    text = file.read_text().replace("[Normal]", '["[red]Normal"]')
    file.write_text(f'name: "[/x] set"\n{text}')
    lines = run("check", file, "--overlays", 0).stdout.splitlines()
    assert lines[0].strip() == "[/x] set" and any("[red]Normal: " in line for line in lines)


def test_labels_cut_off(tmp_path: Path, labels: Write, sound: Document) -> None:
    path = labels(sound)
    path.write_bytes(path.read_bytes()[:100])
    result = run("check", hackathon(tmp_path, "train.json"), "--overlays", 0)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == (
        f"error: {path}: is cut off: the JSON ends unfinished at byte 100 (line 1, column 101);"
        " copy or download it again"
    )


def test_many_problems_are_cut_in_the_table(tmp_path: Path, labels: Write, sound: Document) -> None:
    first = sound["annotations"][0]
    sound["annotations"] += [{**first, "id": 100 + i, "category_id": 100 + i} for i in range(40)]
    labels(sound)
    lines = run("check", hackathon(tmp_path, "train.json"), "--overlays", 0).stdout.splitlines()
    assert len([line for line in lines if line.startswith("error: ")]) == 30
    assert lines[-2:] == [
        "and 10 more: --format json lists all",
        "40 errors, 0 warnings: no sweep starts before the errors are mended",
    ]


def test_what_is_wrong_in_the_same_way_is_one_line(tmp_path: Path, labels: Write, sound: Document) -> None:
    first = sound["annotations"][0]
    sound["annotations"] += [{**first, "id": 100 + i, "category_id": 9} for i in range(40)]
    sound["annotations"] += [{**first, "id": 200 + i, "segmentation": []} for i in range(2)]
    sound["images"] += [{"id": 10 + i, "file_name": f"{i}.png"} for i in range(3)]
    labels(sound)
    file = hackathon(tmp_path, "train.json")
    lines = run("check", file, "--overlays", 0).stdout.splitlines()
    at = f"error: {tmp_path}/train.json: "
    assert [line for line in lines if line.startswith("error: ")] == [
        f"{at}images[3].file_name: no such picture: {tmp_path}/train/0.png; did you mean c.png? "
        "(2 more like it: images[4], images[5])",
        f"{at}annotations[4].category_id: category 9 is not among the categories: 1 (Normal) "
        "(39 more like it: annotations[5], annotations[6], annotations[7] and 36 more)",
        f"{at}annotations[44].segmentation: annotation 200 of a.png: empty polygon; remove the annotation, or draw it "
        "again (1 more like it: annotations[45])",
    ]
    assert lines[-1].startswith("45 errors, ")
    assert len(json.loads(run("check", file, "--overlays", 0, "--format", "json").stdout)["problems"]) >= 45


def test_mistakes_in_the_data_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("train:\n  images: trian\n  annotations: 3\nvla: {split: 0.2}\n")
    (tmp_path / "train").mkdir()
    assert main(["data", "check", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    form = "{images: FOLDER, annotations: FILE}"
    assert sorted(err.splitlines()) == sorted([
        f"{file}:2:3: train.images: no such folder: {tmp_path}/trian; did you mean train?",
        f"{file}:3:3: train.annotations: expected the path of a file, found 3",
        f"{file}:4:1: vla: unknown key; known are name, train, val, holdout, test, classes; did you mean val?",
        f"{file}:1:1: val: is missing; expected {form}, or {{split: SHARE, seed: N}}",
    ])  # fmt: skip
    assert main(["data", "check", str(file), "--format", "json"]) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == "" and not document["ok"] and len(document["problems"]) == 4
    assert document["problems"][-1].keys() == {
        "part", "file", "line", "column", "key", "message", "suggestion", "fatal"
    }  # fmt: skip


def test_missing_data_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path / "no.yaml")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err == f"{tmp_path}/no.yaml:1:1: there is no such file\n"


def test_overlays_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["data", "check", str(NUCLEI), "--out", str(tmp_path / "file" / "x")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"sweep: {tmp_path}/file/x cannot be written: Not a directory; name another with --out"
    )


def test_demo_prints_only_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    result = run("demo", folder, "--images", 3, "--size", "64x80", "--seed", 2, "--unlabelled", 0)
    assert result.exit_code == 0
    assert result.stdout == f"{folder}/data.yaml\n"
    assert [len(list((folder / part).iterdir())) for part in ("train", "val", "test")] == [3, 2, 2]
    checked = run("check", folder / "data.yaml", "--overlays", 0, "--format", "json")
    assert checked.exit_code == 0 and json.loads(checked.stdout)["problems"] == []


def test_demo_refuses_a_filled_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("mine")
    assert main(["data", "demo", str(tmp_path), "--images", "1"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"sweep: {tmp_path} is not empty; name a new folder, or empty this one first\n"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--size", "1024", "'1024' is no HEIGHTxWIDTH, such as 1024x1280"),
        ("--images", "0", "0 is not in the range x>=1"),
        ("--unlabelled", "1", "1.0 is not in the range 0<=x<1"),
    ],
)
def test_wrong_options(tmp_path: Path, option: str, value: str, message: str) -> None:
    result = run("demo", tmp_path / "x", option, value)
    assert result.exit_code == 2 and message in result.stderr


def test_help_has_examples_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from sweeps.cli import main\n"
        "for name in ('check', 'demo'): main(['data', name, '--help'])\n"
        "heavy = {'torch', 'mmdet', 'cv2', 'numpy', 'pycocotools', 'PIL'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "[]\n"
    assert "sweep data check search_spaces/data/hackathon.yaml" in done.stdout
    assert "sweep data demo particles --images 40 --size 256x320 --seed 1" in done.stdout


def test_the_data_room_is_free_of_torch() -> None:
    code = (
        "import sys, pkgutil, importlib, runner.data\n"
        "for module in pkgutil.iter_modules(runner.data.__path__):\n"
        "    importlib.import_module(f'runner.data.{module.name}')\n"
        "print(sorted({'torch', 'mmdet', 'mmengine', 'mmcv', 'optuna', 'ruamel'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
