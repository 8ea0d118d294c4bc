"""Every sampler: nothing twice, nothing forbidden, the defaults first, what cannot run learned, a restart goes on."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import Bench, record

from results.records import TrialRecord
from sweeps.space.exclusion import Assignment, forbidden
from sweeps.space.opening import opening
from sweeps.space.walk import count
from sweeps.study.proposer import Proposer

SPACE = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 2}
search:
  model: [solov2, mask_rcnn, htc, scnet]
  backbone: [hrnet_w32, resnet18, swin_tiny]
  optimizer: {SGD: {lr: [0.01, 0.02, 0.0025]}, AdamW: {lr: [0.001, 0.0003]}, Adadelta: }
  batch_size: [1, 2, 4]
forbid: [{model: [htc, solov2], backbone: swin_tiny}, {optimizer: SGD, batch_size: 4}]
budget: {trials: 1000}
"""
KINDS = ["exhaustive", "random", "qmc", "tpe", "nsga2"]


def worth(assignment: Assignment) -> float:
    return 0.5 + 0.1 * (assignment["backbone"] == "resnet18") + float(assignment.get("optimizer.SGD.lr", 0.0))


def end(number: int, assignment: Assignment) -> TrialRecord:
    if assignment["model"] == "scnet" and assignment["batch_size"] == 4:
        return record(number, assignment, state="infeasible", failure="out_of_memory")
    return record(number, assignment, state="complete", score=worth(assignment))


def asked(proposer: Proposer, asks: int, after: int = 0) -> list[TrialRecord]:
    """The ends of so many trials, three running at any time."""
    running: deque[tuple[int, Assignment]] = deque()
    rows = []
    for number in range(after, after + asks):
        if (assignment := proposer.propose()) is None:
            break
        proposer.begun(number, assignment)
        running.append((number, assignment))
        if len(running) == 3:
            rows.append(end(*running.popleft()))
            proposer.ended(rows[-1])
    for one in running:
        rows.append(end(*one))
        proposer.ended(rows[-1])
    return rows


RATES = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 2}
search:
  optimizer:
    AdamW: {lr: [0.001, 0.003, 0.01, 0.0001, 0.0003]}
    SGD: {lr: [0.01, 0.03, 0.1]}
    RMSprop: {lr: [0.001, 0.003, 0.01]}
  batch_size: [1, 2, 3, 4, 5, 6, 7, 8]
"""


def keys(rows: list[TrialRecord]) -> list[str]:
    return [str(sorted(row.optuna_params.items())) for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_twice_nothing_forbidden_over_a_restart_until_all_is_tried(tmp_path: Path, kind: str) -> None:
    space = Bench(tmp_path, SPACE).space(f"sampler.kind={kind}")
    rows = asked(Proposer(space, []), 60)
    rows += asked(Proposer(space, rows), 1000, after=60)
    assert len(rows) == len(set(keys(rows))) == count(space)
    assert not [row for row in rows if forbidden(space, row.optuna_params)]


def test_the_gaussian_process_as_well(tmp_path: Path) -> None:
    space = Bench(tmp_path, SPACE).space("sampler.kind=gp")
    first = opening(space, "tiny", 10)
    rows = asked(Proposer(space, [], opening=first), 12)
    rows += asked(Proposer(space, rows, opening=first), 1, after=12)
    assert len(set(keys(rows))) == 13 and rows[0].optuna_params == first
    assert not [row for row in rows if forbidden(space, row.optuna_params)]


@settings(max_examples=10, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3)),
    banned=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=4),
    kind=st.sampled_from(KINDS),
)
def test_any_rules_are_kept_to(
    tmp_path_factory: pytest.TempPathFactory, sizes: tuple[int, int, int],
    banned: list[tuple[int, int]], kind: str,
) -> None:  # fmt: skip
    models = ["mask_rcnn", "cascade_mask_rcnn", "ms_rcnn", "htc", "scnet", "solov2"][: sizes[0]]
    backbones = ["resnet18", "resnet50", "hrnet_w32", "swin_tiny"][: sizes[1]]
    rules = [{"model": models[m], "backbone": backbones[b]} for m, b in banned if m < sizes[0] and b < sizes[1]]
    rules = rules if len({str(rule) for rule in rules}) < sizes[0] * sizes[1] else []
    search = {"model": models, "backbone": backbones, "batch_size": list(range(1, sizes[2] + 1))}
    text = f"study: made_up\ndata: demo\nscale: tiny\nfixed: {{epochs: 2}}\nsearch: {search}\nforbid: {rules}\n"
    bench = Bench(tmp_path_factory.mktemp("rules"), text + f"sampler: {{kind: {kind}}}\nbudget: {{trials: 100}}\n")
    space = bench.space()
    rows = asked(Proposer(space, [], opening=opening(space, "tiny", 10)), 100)
    assert len(rows) == len(set(keys(rows))) == count(space)
    assert not [row for row in rows if forbidden(space, row.optuna_params)]


@pytest.mark.parametrize("kind", ["random", "qmc", "tpe", "nsga2"])
def test_the_defaults_come_first_and_once(tmp_path: Path, kind: str) -> None:
    space = Bench(tmp_path, SPACE).space(f"sampler.kind={kind}")
    first = opening(space, "tiny", 10)
    assert (first["model"], first["backbone"], first["batch_size"]) == ("mask_rcnn", "resnet18", 2)
    rows = asked(Proposer(space, [], opening=first), 8)
    assert rows[0].optuna_params == first
    rows += asked(Proposer(space, rows, opening=first), 8, after=8)
    assert [row.optuna_params for row in rows].count(first) == 1


def test_defaults_are_the_catalogs_near_what_is_offered(tmp_path: Path) -> None:
    text = """\
study: made_up
data: demo
scale: standard
search:
  backbone: [swin_tiny, resnet50]
  optimizer: {AdamW: {lr: {float: [0.00001, 0.001], log: true}}, SGD: {lr: {float: [0.01, 0.1], log: true}}}
  augmentation: [all, flip]
  batch_size: {int: [4, 16]}
  image_size: [512, 800]
forbid: [{backbone: resnet50, optimizer: SGD}]
budget: {trials: 5}
"""
    space = Bench(tmp_path, text).space()
    found = opening(space, "standard", 500)
    assert found["backbone"] == "resnet50", "Mask R-CNN's own"
    assert found["optimizer"] == "AdamW", "SGD is its own, and forbidden with it"
    assert found["augmentation"] == "flip"
    assert (found["batch_size"], found["image_size"]) == (4, 512)
    free = Bench(tmp_path, text.replace("forbid: [{backbone: resnet50, optimizer: SGD}]\n", "")).space()
    assert opening(free, "standard", 500)["optimizer.SGD.lr"] == 0.01, "0.0025 is below the range"


def test_a_default_that_is_mmdetections_own_is_that_value(tmp_path: Path) -> None:
    text = """\
study: made_up
data: demo
search:
  model: {cascade_mask_rcnn: {iou_low: {float: [0.3, 0.5]}, iou_high: {float: [0.6, 0.9]}}}
  layer_decay: [0.8, 1.0]
budget: {trials: 5}
"""
    found = opening(Bench(tmp_path, text).space(), "standard", 500)
    assert [value for name, value in found.items() if "iou" in name] == [0.5, 0.7], "not the middle of their ranges"
    assert found["layer_decay"] == 1.0


def test_qmc_covers_what_exists_only_under_a_choice(tmp_path: Path) -> None:
    """A Sobol sequence has one point in every eighth of a range; at random two or none are common."""
    text = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 2, model: mask_rcnn}
search: {optimizer: {SGD: {lr: {float: [0.0, 1.0]}}}}
sampler: {kind: qmc}
budget: {trials: 64}
"""
    space = Bench(tmp_path, text).space()
    proposer = Proposer(space, [])
    rows = [record(n, found, state="failed") for n in range(5) if (found := proposer.propose())]
    proposer = Proposer(space, rows)
    rows += [record(n, found) for n in range(5, 8) if (found := proposer.propose())]
    assert sorted(int(8 * row.optuna_params["optimizer.SGD.lr"]) for row in rows) == list(range(8))


def test_nsga2_breeds_from_its_best_after_a_restart_too(tmp_path: Path) -> None:
    """Generation by generation the best backbone spreads; from scratch a third of the trials would have it."""
    text = SPACE.replace("batch_size: [1, 2, 4]", "lr: {float: [0.001, 0.1]}").replace(
        ", {optimizer: SGD, batch_size: 4}", ""
    )
    text = text.replace(
        "  optimizer: {SGD: {lr: [0.01, 0.02, 0.0025]}, AdamW: {lr: [0.001, 0.0003]}, Adadelta: }\n", ""
    )
    space = Bench(tmp_path, text).space("sampler={kind: nsga2, population: 10}")
    rows: list[TrialRecord] = []
    for _ in range(6):
        proposer = Proposer(space, rows)
        for number in range(len(rows), len(rows) + 15):
            assignment = proposer.propose()
            assert assignment is not None
            proposer.begun(number, assignment)
            score = float(assignment["backbone"] == "hrnet_w32")
            rows.append(record(number, assignment, state="complete", score=score))
            proposer.ended(rows[-1])
    late = [row.optuna_params["backbone"] for row in rows[-30:]]
    assert late.count("hrnet_w32") > 20


def rates(tmp_path: Path, kind: str, asks: int, stopped: bool = False) -> list[float | None]:
    """SGD's rate in each of so many trials, of which only those with 0.03 score; a pruner may stop the others."""
    proposer = Proposer(Bench(tmp_path, RATES).space(f"sampler.kind={kind}"), [])
    found: list[float | None] = []
    for number in range(asks):
        chosen = proposer.propose()
        assert chosen is not None
        proposer.begun(number, chosen)
        found.append(chosen.get("optimizer.SGD.lr"))
        score = 0.1 if found[-1] == 0.03 else 0.01
        if stopped:
            proposer.report(number, 1, score)
        pruned = stopped and score < 0.1
        proposer.ended(
            record(number, chosen, state="pruned" if pruned else "complete", score=None if pruned else score)
        )
    return found


def test_the_gaussian_process_learns_what_exists_only_under_one_choice(tmp_path: Path) -> None:
    """Only one of SGD's rates scores: it stands in 8 of 88 combinations, and in most that follow the random ones."""
    found = rates(tmp_path, "gp", 20)
    assert found[10:].count(0.03) >= 6, found


def test_tpe_weighs_whole_combinations_that_were_not_tried(tmp_path: Path) -> None:
    """All eight of 88 that score are found in 40 trials; with groups drawn apart some were left after 60."""
    found = rates(tmp_path, "tpe", 40)
    assert found.count(0.03) == 8, found


def test_the_gaussian_process_learns_from_stopped_trials(tmp_path: Path) -> None:
    """A pruner stops all that do not score: few are complete, and yet it goes where they are."""
    found = rates(tmp_path, "gp", 20, stopped=True)
    assert found[10:].count(0.03) >= 6, found


def test_tpe_sends_workers_who_ask_at_a_time_to_different_places(tmp_path: Path) -> None:
    """And not all of them to an option that nobody has tried: it has three of the eleven rates."""
    proposer = Proposer(Bench(tmp_path, RATES).space("sampler.kind=tpe", "sampler.seed=1"), [])
    tried = [
        {"optimizer": "SGD", "optimizer.SGD.lr": rate, "batch_size": n} for rate in (0.01, 0.03) for n in range(1, 7)
    ]
    for number, assignment in enumerate(tried):
        proposer.begun(number, assignment)
        proposer.ended(record(number, assignment, state="complete", score=0.1 + 0.01 * number))
    found = []
    for number in range(12, 24):
        assignment = proposer.propose()
        assert assignment is not None
        proposer.begun(number, assignment)
        found.append(assignment)
    assert len({one["optimizer"] for one in found}) > 1
    assert len({one["batch_size"] for one in found}) >= 4, found
