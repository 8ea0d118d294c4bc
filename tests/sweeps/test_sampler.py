"""What the sampler learns: scores, scores of trials that were stopped early, and what cannot run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import Bench
from made_up import record as trial
from optuna.trial import TrialState

from results.records import TrialRecord
from sweeps.space.exclusion import Assignment
from sweeps.space.schema import SearchSpace
from sweeps.study import kinds
from sweeps.study.proposer import Proposer

TEXT = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 2}
search:
  batch_size: {int: [1, 16]}
  lr: {float: [0.0001, 0.1], log: true}
sampler: {kind: tpe, seed: 0}
budget: {trials: 100}
"""
End = Callable[[Assignment], dict[str, Any]]


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    return Bench(tmp_path, TEXT).space()


def tried(proposer: Proposer, end: End, numbers: range) -> list[TrialRecord]:
    """Proposes, trains and ends trials, one after the other."""
    rows = []
    for number in numbers:
        assignment = proposer.propose()
        assert assignment is not None
        proposer.begun(number, assignment)
        rows.append(trial(number, assignment, **end(assignment)))
        proposer.ended(rows[-1])
    return rows


def larger_is_better(assignment: Assignment) -> dict[str, Any]:
    """Scores rise with the batch size, until the memory ends at 8."""
    if assignment["batch_size"] > 8:
        return {"state": "infeasible", "failure": "out_of_memory"}
    return {"state": "complete", "score": assignment["batch_size"] / 16}


def diverges(assignment: Assignment) -> dict[str, Any]:
    """Scores rise with the learning rate, until the loss is no number."""
    if assignment["lr"] > 0.01:
        return {"state": "failed", "failure": "nan_loss"}
    return {"state": "complete", "score": assignment["lr"]}


@pytest.mark.parametrize("end", [larger_is_better, diverges], ids=["out of memory", "nan loss"])
def test_what_cannot_run_is_proposed_less(space: SearchSpace, end: End) -> None:
    """The best score lies at the edge; without a word about what lies beyond it, the sampler walks over it."""

    def without_a_word(assignment: Assignment) -> dict[str, Any]:
        found = end(assignment)
        return found if found["state"] == "complete" else {"state": "failed", "failure": "crashed"}

    def beyond(said: End) -> int:
        runs = [tried(_seeded(space, seed), said, range(60))[20:] for seed in range(3)]
        return sum(row.state != "complete" for rows in runs for row in rows)

    told, untold = beyond(end), beyond(without_a_word)
    assert told < untold / 2, f"{told} of 120 against {untold}"


def test_a_start_knows_what_the_one_before_knew(space: SearchSpace) -> None:
    """Running, pruned with its scores, complete, infeasible: all as they were when they were told one by one."""
    proposer = _seeded(space, 0)
    ends: list[dict[str, Any]] = [
        {"state": "complete", "score": 0.5}, {"state": "pruned", "score": 0.25}, {"state": "failed"},
        {"state": "infeasible", "failure": "out_of_memory"}, {"state": "running"},
    ]  # fmt: skip
    rows = []
    for number, end in enumerate(ends):
        assignment = proposer.propose()
        assert assignment is not None
        proposer.begun(number, assignment)
        proposer.report(number, 1, 0.25)
        rows.append(trial(number, assignment, **end))
        if end["state"] != "running":
            proposer.ended(rows[-1])
    again = Proposer(space, rows, {number: {1: 0.25} for number in range(5)})

    def known(one: Proposer) -> list[Any]:
        found = one._sampler._study.get_trials(deepcopy=False)
        shown = [(t.params, t.state, t.values, t.intermediate_values, t.constraints) for t in found]
        return sorted(map(str, shown))

    assert known(again) == known(proposer)
    states = [t.state for t in again._sampler._study.get_trials(deepcopy=False)]
    assert states.count(TrialState.COMPLETE) == 2 and states.count(TrialState.RUNNING) == 1


def test_of_many_trials_the_best_the_latest_and_the_running_are_kept(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "WIDE", kinds.Memory(latest=20, best=5, most=40))
    proposer = _seeded(space, 0)
    first = proposer.propose()
    assert first is not None
    proposer.begun(0, first)
    rows = tried(proposer, larger_is_better, range(1, 120))
    found = proposer._sampler._study.get_trials(deepcopy=False)
    assert len(found) <= 41
    best = sorted((row.score for row in rows if row.score), reverse=True)[:5]
    assert sorted((t.value or 0.0 for t in found if t.constraints == {"infeasible": -1.0}), reverse=True)[:5] == best
    assert [t.params for t in found if t.state == TrialState.RUNNING] == [first]
    proposer.ended(trial(0, first, state="complete", score=2.0))
    assert 2.0 in [t.value for t in proposer._sampler._study.get_trials(deepcopy=False)]
    assert [t.params for t in found[-10:]] == [row.optuna_params for row in rows[-10:]]


def _seeded(space: SearchSpace, seed: int) -> Proposer:
    return Proposer(replace(space, sampler=replace(space.sampler, seed=seed)), [])
