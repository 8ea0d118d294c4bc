"""What is ours between optimizer and model: closures, sparse gradients, accumulation, clipping."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from toys import Points, Toy, rates_of
from trials import combination, part

from runner.plugins.closure import ClosureOptimWrapper
from runner.plugins.lbfgs import ShortStepLBFGS
from runner.plugins.sparse_adam import DenseSparseAdam

POINTS = Points()


def batch(*numbers: int) -> dict[str, list[torch.Tensor]]:
    return {"x": [POINTS[number]["x"] for number in numbers]}


def toy(**options: Any) -> Toy:
    torch.manual_seed(0)
    return Toy(**options)


def wrapper_of(model: Toy, **trial: Any) -> OptimWrapper:
    wrapper = build_optim_wrapper(model, rates_of(combination(**trial))["optim_wrapper"])
    wrapper.initialize_count_status(model, 0, 1000)
    return wrapper


def lbfgs(**params: Any) -> dict[str, Any]:
    return {"optimizer": part("optimizer", "LBFGS", **params)}


@pytest.mark.parametrize("search", ["none", "strong_wolfe"])
def test_steps_are_those_of_torch_with_a_closure_by_hand(search: str) -> None:
    ours, theirs = (toy(norm=False, dropout=0.0) for _ in range(2))
    wrapper = wrapper_of(ours, **lbfgs(line_search_fn=search, max_iter=6, lr=0.5))
    optimizer = torch.optim.LBFGS(
        theirs.parameters(), lr=0.5, max_iter=6, history_size=5,
        line_search_fn=None if search == "none" else search,
    )  # fmt: skip
    for first in range(0, 12, 4):
        data = batch(*range(first, first + 4))

        def closure(data: dict[str, list[torch.Tensor]] = data) -> torch.Tensor:
            optimizer.zero_grad()
            loss = theirs(**data)["loss"]
            loss.backward()
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        ours.train_step(data, wrapper)
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)
    assert all(p.grad is None for p in ours.parameters())


def lengths(kind: type[torch.optim.LBFGS], start: float, batches: int = 1, **params: Any) -> list[float]:
    """Of each step between two evaluations of 100 cos(w), w from `start`: curved downwards up to pi / 2."""
    weight = torch.nn.Parameter(torch.full((4,), start))
    optimizer = kind([weight], lr=0.01, max_iter=4, **params)
    places: list[torch.Tensor] = []

    def closure() -> torch.Tensor:
        places.append(weight.detach().clone())
        optimizer.zero_grad()
        loss = 100 * weight.cos().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(batches):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return [(after - before).abs().sum().item() for before, after in itertools.pairwise(places)]


def test_lbfgs_takes_no_long_step_before_it_knows_a_curvature() -> None:
    short, theirs = (lengths(kind, 0.5, batches=2) for kind in (ShortStepLBFGS, torch.optim.LBFGS))
    assert short == pytest.approx([0.01] * 7, rel=1e-3)
    assert theirs[0] == pytest.approx(0.01, rel=1e-3) and theirs[1] > 1


@pytest.mark.parametrize(("start", "search"), [(2.0, None), (0.5, "strong_wolfe")])
def test_lbfgs_is_torchs_once_it_does(start: float, search: str | None) -> None:
    short, theirs = (
        lengths(kind, start, batches=3, line_search_fn=search) for kind in (ShortStepLBFGS, torch.optim.LBFGS)
    )
    assert short == theirs and max(short) > 0.02


@pytest.mark.parametrize(("search", "evaluations"), [("none", 4), ("strong_wolfe", 5)])
def test_one_forward_pass_an_evaluation(search: str, evaluations: int) -> None:
    """The pass that mmengine makes is the closure's first; torch's limit is 5 evaluations for 4 iterations."""
    model = toy()
    passes: list[int] = []
    model.register_forward_hook(lambda *_: passes.append(1))
    wrapper = wrapper_of(model, **lbfgs(max_iter=4, line_search_fn=search))
    model.train_step(batch(0, 1, 2), wrapper)
    (state,) = wrapper.optimizer.state.values()
    assert len(passes) == state["func_evals"] == evaluations


def test_running_statistics_and_generators_are_left_as_one_pass_leaves_them() -> None:
    many, once = toy(), toy()
    wrapper = wrapper_of(many, **lbfgs(max_iter=5))
    data = batch(0, 1, 2, 3)
    torch.manual_seed(1)
    many.train_step(data, wrapper)
    after = torch.rand(3)
    torch.manual_seed(1)
    once.train_step(data, wrapper_of(once, optimizer=part("optimizer", "SGD", lr=0.0)))
    assert torch.equal(after, torch.rand(3))
    for one, other in zip(many.buffers(), once.buffers(), strict=True):
        assert torch.equal(one, other)
    assert int(many.backbone[1].num_batches_tracked) == 1


def test_a_loss_without_its_forward_pass() -> None:
    model = toy()
    wrapper = wrapper_of(model, **lbfgs())
    with pytest.raises(RuntimeError, match="one forward pass inside optim_context for each loss"):
        wrapper.update_params(model(**batch(0, 1))["loss"])


@pytest.mark.parametrize("name", ["SGD", "AdamW", "LBFGS"])
def test_accumulated_batches_are_one_large_batch(name: str) -> None:
    """Without batch norm, whose statistics are those of each batch."""
    parts, whole = (toy(norm=False, dropout=0.0) for _ in range(2))
    optimizer = {"optimizer": part("optimizer", name)}
    few, many = wrapper_of(parts, **optimizer, accumulate=3), wrapper_of(whole, **optimizer)
    for start in (0, 6):
        for first in range(start, start + 6, 2):
            parts.train_step(batch(first, first + 1), few)
        whole.train_step(batch(*range(start, start + 6)), many)
    for one, other in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.equal(whole.head.weight, toy(norm=False).head.weight)


def test_gradients_are_clipped() -> None:
    model = toy(dropout=0.0)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    plain = part("optimizer", "SGD", lr=1.0, momentum=0.0, weight_decay=0.0)
    model.train_step(batch(0, 1, 2), wrapper_of(model, optimizer=plain, clip_grad=0.001))
    moved = torch.cat([(p - start[name]).flatten() for name, p in model.named_parameters()])
    assert moved.norm().item() == pytest.approx(0.001, rel=1e-3)


def sparse_step(gradients: list[torch.Tensor], change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    weights = torch.nn.Parameter(torch.ones_like(gradients[0]))
    kind = DenseSparseAdam if change is _dense else torch.optim.SparseAdam
    optimizer = kind([weights], lr=0.1)
    for gradient in gradients:
        weights.grad = change(gradient)
        optimizer.step()  # type: ignore[no-untyped-call,unused-ignore]
    return weights.detach()


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.clone()


@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (2, 3, 3, 3)])
def test_sparse_adam_takes_dense_gradients(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(shape, generator=generator).relu() for _ in range(4)]
    assert torch.equal(sparse_step(gradients, _dense), sparse_step(gradients, torch.Tensor.to_sparse))


def test_an_entry_without_gradient_is_left_alone() -> None:
    weights = torch.nn.Parameter(torch.ones(2))
    optimizer = DenseSparseAdam([weights], lr=0.1)
    for gradient in ([1.0, 1.0], [0.0, 1.0]):
        before = optimizer.state[weights].get("exp_avg", torch.zeros(2)).clone()
        kept = weights.detach().clone()
        weights.grad = torch.tensor(gradient)
        optimizer.step()
    assert weights[0] == kept[0] and weights[1] < kept[1]
    assert optimizer.state[weights]["exp_avg"][0] == before[0]
    assert not weights.grad.is_sparse
    adam = torch.nn.Parameter(torch.ones(2))
    theirs = torch.optim.Adam([adam], lr=0.1)
    for gradient in ([1.0, 1.0], [0.0, 1.0]):
        adam.grad = torch.tensor(gradient)
        theirs.step()
    assert adam[0] < weights[0], "Adam moves on by its momentum"


def test_the_wrapper_of_lbfgs_is_ours_in_mixed_precision_too() -> None:
    wrapper = wrapper_of(toy(), **lbfgs(), amp=True)
    assert isinstance(wrapper, ClosureOptimWrapper) and wrapper.amp
