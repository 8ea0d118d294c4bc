"""The spaces that come with the project, and the commands that look at a space."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.catalog import PARTS
from sweeps.cli import main
from sweeps.space import pairwise
from sweeps.space.loader import load
from sweeps.space.resolve import resolve
from sweeps.space.schema import Choice
from sweeps.space.walk import assignments, count, first

SPACES = Path(__file__).parents[3] / "search_spaces"


ORDINARY = [path for path in sorted(SPACES.glob("*.yaml")) if path.stem != "campaign"]  # has tests of its own


@pytest.mark.parametrize("path", ORDINARY, ids=lambda path: path.stem)
def test_every_shipped_space_is_valid_and_without_notes(path: Path) -> None:
    found = load(path)
    assert found.study == path.stem
    assert (found.data, found.scale, found.notes) == ("demo", "auto", ())


def test_the_six_models_of_week_2() -> None:
    found = load(SPACES / "models.yaml")
    names = [assignment["model"] for assignment in assignments(found)]
    assert names == ["mask_rcnn", "cascade_mask_rcnn", "ms_rcnn", "htc", "scnet", "solov2"]
    assert "epochs" not in found.fixed


def test_the_backbones_and_augmentations_of_week_3() -> None:
    found = [assignment["backbone"] for assignment in assignments(load(SPACES / "backbones.yaml"))]
    assert found[:2] == ["resnext101_32x4d", "resnet50_rsb"] and len(found) == 13
    space = load(SPACES / "augmentations.yaml")
    assert [assignment["augmentation"] for assignment in assignments(space)] == [
        "flip", "all", "resize_1024x1024", "resize_1280x1024", "resize_1333x800",
        "equalize + brightness + contrast", "albu", "min_iou_random_crop",
    ]  # fmt: skip
    combination, _ = resolve(space, first(space), "standard", 520)
    assert (combination.model.params["iou_low"], combination.model.params["iou_high"]) == (0.3, 0.6)
    assert (combination.backbone.name, combination.settings["epochs"]) == ("resnext101_32x4d", 12)


def test_the_optimizers_of_week_4() -> None:
    names = [assignment["optimizer"] for assignment in assignments(load(SPACES / "optimizers.yaml"))]
    assert set(names) == set(PARTS["optimizer"]) and names[0] == "SGD"


def test_all_pairs_are_those_of_the_whole_catalog() -> None:
    space = load(SPACES / "pairs.yaml")
    for part in PARTS:
        form = space.search[part]
        assert isinstance(form, Choice)
        assert set(form.labels) == set(PARTS[part]), f"search_spaces/pairs.yaml: {part}"
    rows = pairwise.rows(space)
    assert len(rows) < 1.1 * len(PARTS["backbone"]) * len(PARTS["augmentation"])


def test_all_pairs_are_in_what_is_trained() -> None:
    """Rows are choices; the combinations they become must hold them: an optimizer without schedules drops its own."""
    space = load(SPACES / "pairs.yaml")
    for row in pairwise.rows(space):
        combination, _ = resolve(space, row, "tiny", 12)
        assert combination.schedule
        augmentation = [part.name for part in combination.augmentation] or ["none"]
        trained = {
            "model": combination.model.name, "backbone": combination.backbone.name, "augmentation": augmentation[0],
            "optimizer": combination.optimizer.name, "schedule": combination.schedule.name,
        }  # fmt: skip
        trained |= {key: value for key, value in combination.settings.items() if key in row}
        assert trained == row


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
