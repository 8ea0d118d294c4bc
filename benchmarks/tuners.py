"""Who is compared: this software's own study server, and Optuna used as its documentation says.

Peers' settings: https://optuna.readthedocs.io/en/stable/tutorial/10_key_features/003_efficient_optimization_algorithms.html
(TPESampler is the default; HyperbandPruner goes with it, SuccessiveHalvingPruner with a random sampler is ASHA,
Li et al. 2020, arXiv:1810.05934).
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import optuna
from memory import open_study
from optuna.trial import TrialState
from table import Row, Table, key

from runner.protocol import EpochReport, Lease, LeaseRequest, Result
from sweeps.leases.coordinator import Coordinator
from sweeps.space.exclusion import Assignment
from sweeps.space.opening import opening
from sweeps.space.schema import PRUNERS, Budget, Choice, PrunerKind, PrunerSpec, SamplerKind, SamplerSpec, SearchSpace
from sweeps.space.walk import suggest

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Tuner(Protocol):
    """Proposes trainings and is told how they go."""

    def lease(self, worker: str) -> tuple[Any, dict[str, Any]] | None:
        """(handle, what to train), None if there is nothing to train now."""

    def report(self, handle: Any, epoch: int, score: float, seconds: float) -> bool:
        """Takes a validation; whether the training should stop."""

    def finish(self, handle: Any, row: Row, pruned: bool) -> None:
        """The training has ended."""

    def incumbent(self) -> str | None:
        """The combination that it would name best now."""


class Ours:
    """A study server in this process, asked as a worker asks it over HTTP.

    Args:
        space: with its sampler, pruner and budget.
        table: what is recorded.
        clock: seconds.
    """

    def __init__(self, space: SearchSpace, table: Table, clock: Callable[[], float]) -> None:
        memory = open_study(space, table.study["n_train"])
        self._store = memory.store
        self._metric = space.objective.metric
        self._coordinator = Coordinator(memory.study, clock=clock)
        self._held: dict[int, Lease] = {}

    def _beat(self) -> None:
        """All workers are alive; the clock jumps from one epoch's end to the next, and leases last 30 seconds."""
        for held in self._held.values():
            self._coordinator.heartbeat(held.trial, held.fence)

    def lease(self, worker: str) -> tuple[Lease, dict[str, Any]] | None:
        self._beat()
        proof = {self._coordinator.name: self._coordinator.needs.proof()}
        request = LeaseRequest(worker=worker, owner="simulated", device="table", ready=proof)
        lease = self._coordinator.lease(request).lease
        if lease is None:
            return None
        self._held[lease.trial] = lease
        return lease, self._store.rows[lease.trial].optuna_params

    def report(self, handle: Lease, epoch: int, score: float, seconds: float) -> bool:
        self._beat()
        told = EpochReport(epoch=epoch, metrics={self._metric: score}, seconds=seconds)
        return self._coordinator.report(handle.trial, handle.fence, told).action == "prune"

    def finish(self, handle: Lease, row: Row, pruned: bool) -> None:
        if row.state == "complete":
            result = Result(outcome="pruned" if pruned else "complete", reason="stopped" if pruned else None)
        else:
            result = Result(outcome="failed", failure="nan_loss", reason=row.state)
        del self._held[handle.trial]
        self._coordinator.finish(handle.trial, handle.fence, result)

    def incumbent(self) -> str | None:
        best = self._store.best
        return None if best is None else key(best.optuna_params)


class _Optuna:
    """A study of Optuna's with ask and tell, which begins with the defaults as ours does."""

    def __init__(
        self,
        space: SearchSpace,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner,
        first: Assignment,
    ) -> None:
        self._space = space
        self._study = optuna.create_study(
            study_name="table", direction="maximize", sampler=sampler, pruner=pruner
        )  # Hyperband's brackets depend on the name
        self._study.enqueue_trial(first)

    def lease(self, worker: str) -> tuple[optuna.Trial, dict[str, Any]]:
        trial = self._study.ask()
        return trial, suggest(self._space, _Suggester(trial))

    def report(self, handle: optuna.Trial, epoch: int, score: float, seconds: float) -> bool:
        handle.report(score, epoch - 1)  # Optuna counts steps from 0
        return handle.should_prune()

    def finish(self, handle: optuna.Trial, row: Row, pruned: bool) -> None:
        if row.state != "complete":
            self._study.tell(handle, state=TrialState.FAIL)
        elif pruned:
            self._study.tell(handle, state=TrialState.PRUNED)
        else:
            self._study.tell(handle, row.scores[-1])

    def incumbent(self) -> str | None:
        try:
            return key(self._study.best_params)
        except ValueError:  # none is complete yet
            return None


class _Suggester:
    """Answers the space's questions from an Optuna trial; a recorded space asks for choices alone."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._trial.suggest_categorical(name, choices)

    def float(self, *_: Any) -> float:
        raise NotImplementedError

    def int(self, *_: Any) -> int:
        raise NotImplementedError


@dataclass(frozen=True)
class Setting:
    """What the peers are told: what is searched, of how many epochs."""

    space: SearchSpace
    table: Table
    epochs: int
    combinations: int


Made = Callable[[Setting, int, Callable[[], float]], Tuner]


def ours(sampler: SamplerKind, pruner: PrunerKind | None, **options: Any) -> Made:
    """This software; without a pruner's name the one that a space gets which names none."""

    def made(setting: Setting, seed: int, clock: Callable[[], float]) -> Tuner:
        space = replace(
            setting.space,
            sampler=SamplerSpec(sampler, seed),
            budget=Budget(trials=None if sampler == "exhaustive" else setting.combinations - 1),
        )
        if pruner is not None:
            defaults = {name: parameter.default for name, parameter in PRUNERS[pruner].items()}
            space = replace(space, pruner=PrunerSpec(pruner, {**defaults, **options}))
        if sampler == "exhaustive":  # else the file's order decides, and it is the same for every seed
            space = replace(space, search=_shuffled(space, random.Random(seed)))
        return Ours(space, setting.table, clock)

    return made


def _shuffled(space: SearchSpace, lots: random.Random) -> dict[str, Any]:
    """What is searched, its parts and the names of each in another order."""
    items = list(space.search.items())
    lots.shuffle(items)
    return {
        name: Choice(tuple(lots.sample(form.options, len(form.options)))) if isinstance(form, Choice) else form
        for name, form in items
    }


def _peer(sampler: Callable[[int], optuna.samplers.BaseSampler], pruner: Callable[[int], Any]) -> Made:
    def made(setting: Setting, seed: int, clock: Callable[[], float]) -> Tuner:
        first = opening(setting.space, "tiny", setting.table.study["n_train"])
        return _Optuna(setting.space, sampler(seed), pruner(setting.epochs), first)

    return made


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings(action="ignore"):
        return optuna.samplers.TPESampler(seed=seed)


def _random(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


TUNERS: dict[str, Made] = {
    "ours": ours("auto", None),
    "ours, gp": ours("gp", None),
    "ours, median per family": ours("tpe", "median"),
    "ours, no pruner": ours("tpe", "none"),
    "ours, random": ours("random", "median", per="none"),
    "exhaustive": ours("exhaustive", "none"),
    "random": ours("random", "none"),
    "Optuna TPE": _peer(_tpe, lambda epochs: optuna.pruners.NopPruner()),
    "Optuna TPE + Hyperband": _peer(
        _tpe, lambda epochs: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    ),
    "ASHA": _peer(
        _random, lambda epochs: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    ),
}  # fmt: skip
