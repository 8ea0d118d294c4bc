"""Whatever optimizes: a training that was interrupted ends at the last digit of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toys import Toy, read, same, train
from trials import part

from runner.catalog import OPTIMIZERS

TRIALS: dict[str, dict[str, Any]] = {
    **{name: {"optimizer": part("optimizer", name)} for name in OPTIMIZERS},
    "wolfe": {"optimizer": part("optimizer", "LBFGS", line_search_fn="strong_wolfe", max_iter=8, history_size=3)},
    "ema": {"ema": 0.1},
    "accumulate": {"accumulate": 4},
    "accumulate LBFGS": {"accumulate": 4, "optimizer": part("optimizer", "LBFGS")},
    "cosine": {"schedule": "cosine"},
    "poly": {"schedule": "poly"},
    "one cycle": {"schedule": "one_cycle", "optimizer": part("optimizer", "Adagrad")},
    "amp": {"amp": True},
    "all": {"amp": True, "accumulate": 4, "ema": 0.1, "schedule": "one_cycle", "norm_decay": 0.0, "clip_grad": 0.1},
}


@pytest.mark.parametrize("name", TRIALS)
def test_resume_to_the_last_digit(tmp_path: Path, name: str) -> None:
    """Six iterations an epoch: with accumulate 4 a checkpoint comes in the middle of an update."""
    trial = {"epochs": 3, "batch_size": 2, **TRIALS[name]}
    train(tmp_path / "whole", **trial)
    train(tmp_path / "rest", start=tmp_path / "whole" / "2.pth", **trial)
    assert not (tmp_path / "rest" / "1.pth").exists()
    whole, rest = (read(tmp_path / folder / "3.pth") for folder in ("whole", "rest"))
    for state in whole["optimizer"]["state"].values():
        state.pop("al", None)  # LBFGS's scratch space
    for state in rest["optimizer"]["state"].values():
        state.pop("al", None)
    assert {key for key in whole if not same(whole[key], rest[key])} == set()
    assert not same(whole["state_dict"], read(tmp_path / "whole" / "2.pth")["state_dict"])


def test_a_checkpoint_in_the_middle_of_an_update_holds_its_gradients(tmp_path: Path) -> None:
    train(tmp_path, epochs=2, batch_size=2, accumulate=4)
    assert set(read(tmp_path / "1.pth")["gradients"]) == {name for name, _ in Toy().named_parameters()}
    assert read(tmp_path / "2.pth")["gradients"] == {}


def test_lbfgs_never_waits_across_a_checkpoint(tmp_path: Path) -> None:
    runner, _ = train(
        tmp_path,
        epochs=1,
        batch_size=2,
        accumulate=4,
        optimizer=part("optimizer", "LBFGS", max_iter=1, line_search_fn="none"),
    )
    assert read(tmp_path / "1.pth")["gradients"] == {}
    (state,) = runner.optim_wrapper.optimizer.state.values()
    assert state["func_evals"] == 2, "four batches, then the two that are left"


def test_averaged_weights_are_what_is_kept(tmp_path: Path) -> None:
    runner, _ = train(tmp_path, epochs=2, batch_size=2, ema=0.1)
    kept = read(tmp_path / "2.pth")
    averaged = next(hook for hook in runner.hooks if type(hook).__name__ == "EMAHook").ema_model.module
    assert same(kept["state_dict"], dict(averaged.state_dict()))
    assert not same(kept["state_dict"], dict(runner.model.state_dict()))
    trained = {k.removeprefix("module."): v for k, v in kept["ema_state_dict"].items() if k != "steps"}
    assert same(trained, dict(runner.model.state_dict()))


def test_averages_follow_mmdetections_formula(tmp_path: Path) -> None:
    """(1 - m) e^(-(1 + k) / 2000) + m is the share of the new weights in average k."""
    weights: list[torch.Tensor] = []

    class Noting(Toy):
        def train_step(self, data: Any, optim_wrapper: Any) -> Any:
            found = super().train_step(data, optim_wrapper)
            weights.append(self.head.weight.detach().clone())
            return found

    train(tmp_path, Noting(), epochs=1, batch_size=2, ema=0.1)
    average = weights[0]
    for step, weight in enumerate(weights[1:], 1):
        share = 0.9 * torch.exp(torch.tensor(-(1 + step) / 2000, dtype=torch.float64)).item() + 0.1
        average = (1 - share) * average + share * weight
    torch.testing.assert_close(read(tmp_path / "1.pth")["state_dict"]["head.weight"], average)
