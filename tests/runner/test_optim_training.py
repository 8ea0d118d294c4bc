"""Every optimizer, and everything around it, teaches a tiny Mask R-CNN something about real images."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from trainers import trainer
from trials import combination, lease, nuclei, part

from runner import plugins  # noqa: F401  registers them with MMDetection
from runner.catalog import OPTIMIZERS
from runner.paths import TrialPaths
from runner.protocol import Combination, Objective
from runner.render import render

STEPS = 8  # of LBFGS a third, each with four evaluations


@dataclass
class Desk:
    """A tiny Mask R-CNN, its weights at the start, an epoch of batches, and what validates."""

    model: Any
    start: dict[str, torch.Tensor]
    batches: list[Any]
    held_out: list[Any]
    evaluator: Any

    def again(self) -> Any:
        self.model.load_state_dict(self.start)
        torch.manual_seed(0)
        return self.model

    def loss(self) -> float:
        """Of the first batch, with the same draws each time; running statistics stay."""
        state = copy.deepcopy(self.model.state_dict())
        torch.manual_seed(0)
        with torch.no_grad():
            data = self.model.data_preprocessor(copy.deepcopy(self.batches[0]), True)
            loss = self.model.parse_losses(self.model(**data, mode="loss"))[0].item()
        self.model.load_state_dict(state)
        return float(loss)

    def figures(self) -> dict[str, float]:
        """Of the held-out images."""
        self.model.eval()
        with torch.no_grad():
            for batch in map(copy.deepcopy, self.held_out):
                self.evaluator.process(data_samples=self.model.val_step(batch), data_batch=batch)
        self.model.train()
        figures: dict[str, float] = self.evaluator.evaluate(len(self.held_out))
        return figures

    def step(self, wrapper: OptimWrapper, number: int) -> None:
        self.model.train_step(copy.deepcopy(self.batches[number % len(self.batches)]), wrapper)


def rendered(trial: Combination) -> dict[str, Any]:
    return render(trial, 0, "tiny", nuclei(), Objective(), 100)


def wrapper_of(model: Any, **trial: Any) -> OptimWrapper:
    return build_optim_wrapper(model, Config(rendered(combination(**trial))).optim_wrapper)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    register_all_modules(init_default_scope=True)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    config = Config(rendered(combination(image_size=[64, 64])))
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    model.train()
    batches, held_out = (
        list(Runner.build_dataloader(loader, seed=0)) for loader in (config.train_dataloader, config.val_dataloader)
    )
    evaluator = Evaluator(config.val_evaluator)
    evaluator.dataset_meta = {"classes": nuclei().classes}
    yield Desk(model, copy.deepcopy(model.state_dict()), batches, held_out, evaluator)
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loss_falls_in_a_few_steps(desk: Desk, name: str) -> None:
    """At a tenth of the default rate: there is no warm-up here, and losses of heads rise before they fall."""
    rate = part("optimizer", name).params["lr"] / 10
    wrapper = wrapper_of(desk.again(), optimizer=part("optimizer", name, lr=rate))
    before, found = desk.loss(), []
    for number in range(STEPS // 3 if name == "LBFGS" else STEPS):
        desk.step(wrapper, number)
        found.append(desk.loss())
    assert all(map(math.isfinite, found))
    assert min(found) < before
    assert 0 <= desk.figures()["coco/segm_mAP"] <= 1


def test_lbfgs_evaluates_the_same_loss_again(desk: Desk) -> None:
    """RoI samplers draw at random: at unchanged weights each evaluation gives the same number."""
    wrapper = wrapper_of(desk.again(), optimizer=part("optimizer", "LBFGS", lr=0.0, line_search_fn="none"))
    found: list[float] = []
    step = wrapper.optimizer.step

    def noted(closure: Any) -> Any:
        def counted() -> torch.Tensor:
            loss: torch.Tensor = closure()
            found.append(loss.item())
            return loss

        return step(counted)

    wrapper.optimizer.param_groups[0]["tolerance_change"] = -1.0
    wrapper.optimizer.step = noted
    desk.step(wrapper, 0)
    assert len(found) == 4
    assert len(set(found)) == 1, found


@pytest.mark.parametrize("name", ["SGD", "LBFGS"])
def test_mixed_precision_on_a_cpu(desk: Desk, name: str) -> None:
    """bfloat16 reaches the network, the ops of mmcv work, and the loss falls."""
    rate = part("optimizer", name).params["lr"] / 10
    wrapper = wrapper_of(desk.again(), optimizer=part("optimizer", name, lr=rate), amp=True)
    before, types = desk.loss(), set()
    handle = desk.model.backbone.register_forward_hook(lambda _, __, maps: types.update(m.dtype for m in maps))
    for number in range(2 if name == "LBFGS" else STEPS // 2):
        desk.step(wrapper, number)
    handle.remove()
    assert types == {torch.bfloat16}
    assert desk.loss() < before
    assert all(p.dtype == torch.float32 for p in desk.model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_iterations_at_the_defaults(tmp_path: Path, name: str) -> None:
    """By our own trainer, with warm-up and schedule: 17 epochs of 6 iterations."""
    trial = combination(optimizer=part("optimizer", name), epochs=17, image_size=[256, 256],
                        config={"default_hooks.logger.interval": 1})  # fmt: skip
    what = lease(tmp_path, trial)
    with trainer(what) as training:
        note = training.end()
    assert note.result and note.result.outcome == "complete", note
    log = TrialPaths.of(what.work_dir, what.study, what.trial).folder / "log" / "vis_data" / "scalars.json"
    losses = [entry["loss"] for line in log.read_text().splitlines() if "loss" in (entry := json.loads(line))]
    assert len(losses) == 102
    assert all(map(math.isfinite, losses))
    assert losses[-1] < 0.7 * losses[0], "each is the mean of the last twenty iterations"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [("SGD", {"ema": 0.01}), ("LBFGS", {"accumulate": 4, "ema": 0.01}), ("SparseAdam", {"accumulate": 4, "amp": True})],
)
def test_a_training_that_was_killed_ends_as_one_that_was_not(
    tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    """Three epochs of real trainers; the figures are those of the averaged weights where there are any."""
    trial = combination(optimizer=part("optimizer", name), epochs=3, image_size=[128, 128], **settings)
    with trainer(lease(tmp_path / "whole", trial)) as undisturbed:
        assert undisturbed.end().kind == "result"
    cut = lease(tmp_path / "cut", trial)
    with trainer(cut) as killed:
        killed.note()
        killed.go_on()
        killed.note()
    done = tuple(note.report for note in killed.notes if note.report)
    assert [report.epoch for report in done] == [1, 2]
    with trainer(cut.model_copy(update={"reported": done})) as resumed:
        assert resumed.end().kind == "result"
    weights = [
        torch.load(TrialPaths.of(str(folder), "study", 0).last, weights_only=True)["state_dict"]
        for folder in (tmp_path / "whole", tmp_path / "cut")
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weight, weights[1][key]) for key, weight in weights[0].items())
    figures = [[note.report.metrics for note in notes if note.report] for notes in (undisturbed.notes, resumed.notes)]
    assert figures[0][2:] == figures[1]
