"""Optuna's sampler, asked in memory: an ask there costs a fraction of one on a database, and a draft that is refused
(a repeat, a forbidden pair) leaves no trace in the study people look at.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from sweeps.space.schema import SearchSpace
from sweeps.space.walk import Assignment, on_step, suggest

INFEASIBLE = "infeasible"
# TPE looks at every trial for every proposal, though only the best 25 say where to go, and the others, weighed the
# less the older they are, where not to: beyond some, more make it slow and no wiser.
_LATEST, _BEST, _MOST = 1000, 100, 1500


class OptunaSuggester:
    """Answers the space's questions from an Optuna trial."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return self._trial.suggest_categorical(name, choices)

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        """A number from `low` to `high`; with a step the one that is listed, 0.3 and not 0.1 + 2 * 0.1."""
        found = self._trial.suggest_float(name, low, high, log=log, step=step)
        return found if step is None else on_step(found, low, step)

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        """A whole number from `low` to `high`."""
        return self._trial.suggest_int(name, low, high, log=log, step=step)


class _Forms:
    """Answers with what is given and notes what else it might have been, in Optuna's words."""

    def __init__(self, given: Assignment) -> None:
        self._given = given
        self.found: dict[str, BaseDistribution] = {}

    def categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.found[name] = CategoricalDistribution(choices)
        return self._given[name]

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> Any:
        self.found[name] = FloatDistribution(low, high, log=log, step=step)
        return self._given[name]

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> Any:
        self.found[name] = IntDistribution(low, high, log=log, step=step)
        return self._given[name]


def distributions(space: SearchSpace, assignment: Assignment) -> dict[str, BaseDistribution]:
    """What each parameter of the assignment was chosen from.

    Raises:
        KeyError: the assignment lacks one.
    """
    forms = _Forms(assignment)
    suggest(space, forms)
    return forms.found


class Sampler:
    """A study in memory and its sampler. Trials are known by the numbers that the real study gives them.

    Args:
        space: what can be drawn.
        tpe: learn from scores; else everything is equally likely.
        seed: of the random numbers.
    """

    def __init__(self, space: SearchSpace, tpe: bool, seed: int) -> None:
        self._space = space
        self.learns = tpe
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
        if tpe:
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._size = 0  # trials in memory
        self._ids: dict[int, int] = {}  # running trials of the study -> trial in memory

    def draw(self) -> tuple[Assignment, int]:
        """A draft, and how `keep` or `drop` call it; it runs until one of them is called."""
        if self._size >= _MOST:
            self._forget()
        trial = self._study.ask()
        self._size += 1
        return suggest(self._space, OptunaSuggester(trial)), trial._trial_id

    def drop(self, draft: int) -> None:
        """Forgets a draft."""
        self._study._storage.set_trial_state_values(draft, TrialState.FAIL)

    def keep(self, draft: int, number: int) -> None:
        """The draft has become the study's trial `number`."""
        self._ids[number] = draft

    def begun(self, number: int, assignment: Assignment) -> None:
        """The study's trial `number` runs, and was not drawn here."""
        trial = optuna.create_trial(
            state=TrialState.RUNNING, params=assignment, distributions=distributions(self._space, assignment)
        )
        self._ids[number] = self._study._storage.create_new_trial(self._study._study_id, trial)
        self._size += 1

    def _forget(self) -> None:
        """Keeps what runs, the latest and the best; no draft is out when it is called."""
        trials = self._study.get_trials(deepcopy=False)
        ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        scored = [t for t in ended if t.state == TrialState.COMPLETE and INFEASIBLE not in t.constraints]
        best = sorted(scored, key=lambda trial: -(trial.value or 0.0))[:_BEST]
        kept = {trial.number for trial in [*ended[-_LATEST:], *best]} if self.learns else set()
        running = {trial: number for number, trial in self._ids.items()}
        self._study = optuna.create_study(direction="maximize", sampler=self._study.sampler)
        self._size = 0
        for trial in trials:
            if trial.number in kept or trial._trial_id in running:
                made = self._study._storage.create_new_trial(self._study._study_id, trial)
                self._size += 1
                if trial._trial_id in running:
                    self._ids[running[trial._trial_id]] = made

    def report(self, number: int, epoch: int, score: float) -> None:
        """Takes the score of an epoch; that of a pruned trial's last one is all that is known of it."""
        if number in self._ids:
            self._study._storage.set_trial_intermediate_value(self._ids[number], epoch, score)

    def ended(self, number: int, state: TrialState, score: float | None, infeasible: bool = False) -> None:
        """The trial has ended.

        An infeasible one counts as complete with a broken constraint: worse than every other. A failed one says
        nothing, and nothing is learned from it.
        """
        if number not in self._ids:
            return
        trial = self._ids.pop(number)
        storage = self._study._storage
        if infeasible:
            optuna.Trial(self._study, trial).set_constraint(INFEASIBLE, 1.0)
            storage.set_trial_state_values(trial, TrialState.COMPLETE, [0.0])
        else:
            values = [score] if state == TrialState.COMPLETE and score is not None else None
            storage.set_trial_state_values(trial, state, values)

    def remember(self, number: int, assignment: Assignment, scores: Mapping[int, float]) -> None:
        """A trial of an earlier start, with its scores by epoch; `ended` follows if it has ended."""
        self.begun(number, assignment)
        for epoch, score in scores.items():
            self.report(number, epoch, score)
