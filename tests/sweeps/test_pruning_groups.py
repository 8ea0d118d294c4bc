"""A pruner compares a trial with its kin: slow starters are not stopped by fast ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import Bench, run

from runner.catalog import BACKBONES
from sweeps.leases.coordinator import Coordinator

TEXT = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 4}
search:
  lr: [0.001, 0.002, 0.003, 0.004]
  backbone: [resnet18, swin_tiny]
pruner: {kind: median, startup_trials: 2}
"""
PRUNERS = ["{kind: median, startup_trials: 2, per: %s}", "{kind: asha, per: %s}", "{kind: hyperband, per: %s}"]


def states(bench: Bench, pruner: str, stop: int = 8) -> dict[str, list[str]]:
    """How the trials of each backbone end: Swin's scores are a tenth of ResNet's, and both fall with the rate."""
    with bench.study(f"pruner={pruner}") as study:

        def score(trial: int, epoch: int) -> float:
            params = study.row(trial).optuna_params
            return (0.5 if params["backbone"] == "resnet18" else 0.05) - params["lr"] + epoch / 100

        run(Coordinator(study), score, trials=stop)
        found: dict[str, list[str]] = {}
        for row in study.store.trials("made_up"):
            found.setdefault(row.optuna_params["backbone"], []).append(row.state)
        return found


@pytest.mark.parametrize("pruner", PRUNERS[:2])  # Hyperband deals each group into brackets of its own
def test_a_slow_family_is_judged_by_itself(tmp_path: Path, pruner: str) -> None:
    found = states(Bench(tmp_path, TEXT), pruner % "family")
    assert found["resnet18"] == found["swin_tiny"], "the same curves, at a tenth of the height"
    assert "complete" in found["swin_tiny"]


def test_without_groups_the_fast_stop_the_slow(tmp_path: Path) -> None:
    found = states(Bench(tmp_path, TEXT), PRUNERS[0] % "none")
    assert found["swin_tiny"].count("pruned") == 3, "all but the one that came before there was a median"
    assert found["resnet18"].count("pruned") < 3


@pytest.mark.parametrize("pruner", PRUNERS)
def test_groups_are_the_same_after_a_start(tmp_path: Path, pruner: str) -> None:
    whole = states(Bench(tmp_path, TEXT), pruner % "backbone")
    other = tmp_path / "other"
    other.mkdir()
    bench = Bench(other, TEXT)
    for trials in (3, 5):
        found = states(bench, pruner % "backbone", stop=trials)
    assert found == whole


def test_families() -> None:
    assert {BACKBONES[name].family for name in ("resnet18", "resnet101", "resnet50_rsb")} == {"resnet"}
    assert len({BACKBONES[name].family for name in ("resnet18", "resnext101_32x4d", "swin_tiny", "convnext_tiny")}) == 4


def test_hyperband_knows_how_long_a_training_is_without_being_told(tmp_path: Path) -> None:
    """40 epochs are the default with ten training images: the same trials stop as where the file says so."""
    found = []
    for name, fixed in (("told", "{epochs: 40}"), ("default", "{batch_size: 2}")):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name, TEXT.replace("{epochs: 4}", fixed))
        found.append(states(bench, PRUNERS[2] % "none"))
        with bench.study(f"pruner={PRUNERS[2] % 'none'}") as study:
            assert study.row(0).epochs == 40
    assert found[0] == found[1]
    assert "pruned" in str(found)
