"""The exported config, run by MMDetection's own train tool, gives the trial's digits."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from desk import Desk

SPEC = importlib.util.find_spec("mmdet")
assert SPEC and SPEC.submodule_search_locations
TRAIN = Path(SPEC.submodule_search_locations[0]) / ".mim" / "tools" / "train.py"


def run_train_tool(config: Path, work_dir: Path, *options: str) -> list[dict[str, float]]:
    """Validations that MMDetection's tool logged, in order, unrounded."""
    done = subprocess.run(
        [sys.executable, str(TRAIN), str(config), "--work-dir", str(work_dir), *options],
        cwd=config.parent, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    scalars = next(work_dir.glob("*/vis_data/scalars.json")).read_text()
    rows = [json.loads(line) for line in scalars.splitlines()]
    return [row for row in rows if "coco/segm_mAP" in row]


def test_the_train_tool_gives_the_trials_digits(undisturbed: Desk, tmp_path: Path) -> None:
    config = tmp_path / "best.py"
    done = undisturbed.run("best", "--export", "config", "--out", config)
    assert (done.returncode, done.stdout) == (0, f"{config}\n")
    text = config.read_text()
    best = undisturbed.json("rank")["rows"][0]
    header = text.split("\n\n", 1)[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"{best['score']!r} (segm_mAP of the last epoch)" in header
    assert "runner.plugins" in header

    last = run_train_tool(config, tmp_path / "work")[-1]
    assert best["score"] > 0.01, "a score of nothing would equal anything"
    for name in ("segm_mAP", "segm_mAP_50", "segm_mAP_75", "bbox_mAP"):
        assert last[f"coco/{name}"] == best[name], name


def test_a_standalone_config_runs_without_us_and_says_what_changes(undisturbed: Desk, tmp_path: Path) -> None:
    config = tmp_path / "alone.py"
    done = undisturbed.run("best", "--export", "config", "--standalone", "--out", config)
    assert done.returncode == 0, done.stderr
    text = config.read_text()
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert "runner.plugins" not in code and "StudyMetric" not in code and "ReproducibleHook" not in code
    assert "# Standalone: our plugins are left out" in text
    assert "MMDetection only" in text
    rows = run_train_tool(config, tmp_path / "work", "--cfg-options", "train_cfg.max_epochs=1")
    assert len(rows) == 1
