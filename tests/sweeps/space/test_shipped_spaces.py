"""The spaces that come with the project, and the commands that look at a space."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeps.cli import main
from sweeps.space.loader import load
from sweeps.space.walk import assignments, count

SPACES = Path(__file__).parents[3] / "search_spaces"


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_space_is_valid_and_without_notes(path: Path) -> None:
    found = load(path)
    assert found.study == path.stem
    assert (found.data, found.scale, found.notes) == ("demo", "auto", ())


def test_the_six_models_of_week_2() -> None:
    found = load(SPACES / "models.yaml")
    names = [assignment["model"] for assignment in assignments(found)]
    assert names == ["mask_rcnn", "cascade_mask_rcnn", "ms_rcnn", "htc", "scnet", "solov2"]
    assert "epochs" not in found.fixed


def test_the_demo_has_at_least_four_trials() -> None:
    assert (count(load(SPACES / "demo.yaml")) or 0) >= 4


def test_check_says_what_it_read(capsys: pytest.CaptureFixture[str]) -> None:
    path = SPACES / "models.yaml"
    assert main(["check", str(path), "--set", "search.lr=[0.1, 0.2]", "--set", "budget.trials=2"]) == 0
    assert capsys.readouterr().out == f"{path}: ok: study models, 12 combinations, 2 trials\n"
    assert main(["check", str(path), "--set", "fixed.model=htc"]) == 0
    output = capsys.readouterr()
    assert output.out == f"{path}: ok: study models, 1 combination, 1 trial\n"
    assert output.err == "--set fixed.model=htc: search.model of the file is dropped\n"


def test_check_prints_mistakes_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("study: s\ndata: demo\nsearch: {model: [mask_rcn]}\n")
    assert main(["check", str(path)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"{path}:3:18: search.model[0]: unknown model mask_rcn; did you mean mask_rcnn?\n"


def test_check_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("study: s\ndata: demo\nsearch: {model: [mask_rcn]}\n")
    assert main(["check", str(path), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "errors": [
            {
                "file": str(path),
                "line": 3,
                "column": 18,
                "key": "search.model[0]",
                "message": "unknown model mask_rcn",
                "suggestion": "did you mean mask_rcnn?",
            }
        ],
    }
    assert main(["check", str(tmp_path / "y.yaml"), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["errors"][0]["message"] == "there is no such file"
    assert main(["check", str(SPACES / "demo.yaml"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "errors": [], "notes": []}
