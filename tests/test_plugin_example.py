"""The page about parts of one's own: its example is the file, and the file trains."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from desk import NUCLEI, Desk

DOCS = Path(__file__).parents[1] / "docs"
CHOSEN = ("fixed.backbone=plainnet", "fixed.augmentation=[flip, grain: {sigma: 4}]", "fixed.optimizer=SignSGD")
SMALL = ("fixed.epochs=1", "fixed.image_size=128")
BUILD = """
from mmengine.config import Config
from mmengine.registry import init_default_scope
init_default_scope("mmdet")
from mmdet.registry import MODELS
config = Config.fromfile("best_my_parts.py")
print(type(MODELS.build(config.model).backbone).__module__)
"""


@pytest.mark.parametrize("name", ["my_parts.py", "my_space.yaml", "my_hub_backbone.py"])
def test_the_page_shows_the_files(name: str) -> None:
    text = (DOCS / "examples" / name).read_text(encoding="utf-8")
    assert f"\n{text}```\n" in (DOCS / "plugins.md").read_text(encoding="utf-8"), f"put docs/examples/{name} into it"


def test_the_example_trains_and_its_config_runs_elsewhere(desk: Desk) -> None:
    for name in ("my_parts.py", "my_space.yaml"):
        shutil.copy(DOCS / "examples" / name, desk.folder)
    options = [f"--set={text}" for text in (*CHOSEN, *SMALL)]
    command = ["start", "my_space.yaml", "--data", NUCLEI, "--scale", "tiny", *options]
    done = desk.run(*command)
    assert done.returncode == 0, done.stderr
    (row,) = desk.json("rank")["rows"]
    assert (row["model"], row["backbone"], row["augmentation"], row["optimizer"]) == (
        "mask_rcnn_giou", "plainnet", ["flip", "grain"], "SignSGD",
    )  # fmt: skip
    assert row["params"]["augmentation.grain.sigma"] == 4

    done = desk.run("best", "--export", "config")
    assert done.returncode == 0, done.stderr
    header = (desk.folder / "best_my_parts.py").read_text().partition("\n\n")[0]
    assert "# imports:    runner.plugins, my_parts (install this project to run it)\n" in header
    assert "# plugins:    my_parts.py with SHA-256 " in header
    assert "# run:        PYTHONPATH=FOLDER python " in header
    built = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD], cwd=desk.folder, capture_output=True, text=True,
        env={**desk.environment(), "PYTHONPATH": str(desk.folder)},
    )  # fmt: skip
    assert (built.returncode, built.stdout.splitlines()[-1:]) == (0, ["my_parts"]), built.stderr

    with (desk.folder / "my_parts.py").open("a") as file:
        file.write("\n# changed\n")
    done = desk.run(*command)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("sweep:")]
    assert line.startswith("sweep: study my_parts exists with another space: plugins.my_parts: ")


def test_a_backbone_of_the_hub_trains(desk: Desk) -> None:
    shutil.copy(DOCS / "examples" / "my_hub_backbone.py", desk.folder)
    desk.write(
        f"study: hub\ndata: {NUCLEI}\nscale: tiny\nplugins: [my_hub_backbone.py]\n"
        "fixed: {model: solov2, backbone: convnext_small, epochs: 1, image_size: 128}\n"
    )
    done = desk.run("start", "space.yaml")
    assert done.returncode == 0, done.stderr
    (row,) = desk.json("rank")["rows"]
    assert (row["backbone"], row["state"]) == ("convnext_small", "complete")
