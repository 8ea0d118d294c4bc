"""`sweep plan` on the nuclei."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeps.cli import main

ROOT = Path(__file__).parents[3]


def test_plan_reads_the_data_and_keeps_nothing(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))  # where nothing was measured yet
    space, data = ROOT / "search_spaces" / "models.yaml", ROOT / "tests" / "data" / "nuclei" / "data.yaml"
    arguments = ["plan", str(space), "--data", str(data), "--scale", "tiny"]
    assert main([*arguments, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["combinations"], found["trials"], found["epochs"]) == (6, 6, 33)
    assert found["adapted"]["detections"] == 100
    assert list(tmp_path.iterdir()) == []
    assert main(arguments) == 0
    assert "GPU hours            │ not measured: model mask_rcnn" in capsys.readouterr().out
