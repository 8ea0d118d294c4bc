"""Optuna's sampler, asked in memory: an ask there costs a fraction of one on a database, and a draft that is refused
(a repeat, a forbidden pair) leaves no trace in the study people look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.samplers import BaseGASampler, BaseSampler
from optuna.trial import FrozenTrial, TrialState

from sweeps.space.exclusion import Assignment
from sweeps.space.schema import SamplerKind, SearchSpace
from sweeps.space.walk import suggest
from sweeps.study import kinds
from sweeps.study.forms import OptunaSuggester, Refused, distributions
from sweeps.study.goals import directions

INFEASIBLE = "infeasible"  # a constraint: above 0 it is broken


class Sampler:
    """A study in memory and its sampler. Trials are known by the numbers that the real study gives them.

    Args:
        space: what can be drawn.
        kind: of the sampler; see `kinds.sampler`.
        seed: of the random numbers.
        refused: whether an assignment was tried already, or is forbidden.
    """

    def __init__(self, space: SearchSpace, kind: SamplerKind, seed: int, refused: Refused) -> None:
        self._space = space
        self.learns = kind in kinds.LEARNING
        self.memory = kinds.memory(kind)
        self._directions = directions(space.objective)
        self._study = self._fresh(kinds.sampler(space, kind, seed, refused))
        self._size = 0  # trials in memory
        self._worst = 0.0  # of the second goal so far
        self._ids: dict[int, int] = {}  # running trials of the study -> trial in memory

    def _fresh(self, sampler: BaseSampler) -> optuna.Study:
        return optuna.create_study(directions=self._directions, sampler=sampler)

    def draw(self) -> tuple[Assignment, int]:
        """A draft, and how `keep` or `drop` call it; it runs until one of them is called."""
        self.settle()
        trial = self._study.ask()
        self._size += 1
        return suggest(self._space, OptunaSuggester(trial)), trial._trial_id

    def settle(self) -> None:
        """Forgets what is too much; no draft is out when it is called."""
        if self._size >= self.memory.most:
            self._forget()

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
        self._ids[number] = self._add(trial)
        sampler = self._study.sampler
        if isinstance(sampler, BaseGASampler):  # else it would belong to no generation, and have no children
            sampler.get_trial_generation(self._study, self._study._storage.get_trial(self._ids[number]))

    def _add(self, trial: FrozenTrial) -> int:
        self._size += 1
        return self._study._storage.create_new_trial(self._study._study_id, trial)

    def _forget(self) -> None:
        """Keeps what runs, the latest and the best."""
        trials = self._study.get_trials(deepcopy=False)
        ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        latest = ended[-self.memory.latest :]
        kept = {trial.number for trial in [*latest, *self._best(ended)]}
        running = {trial: number for number, trial in self._ids.items()}
        before, self._study = self._study, self._fresh(self._study.sampler)
        if not self.learns:  # how far a Sobol sequence has come
            for key, value in before._storage.get_study_system_attrs(before._study_id).items():
                self._study._storage.set_study_system_attr(self._study._study_id, key, value)
        self._size = 0
        for trial in trials:
            if trial.number in kept or trial._trial_id in running:
                made = self._add(trial)
                if trial._trial_id in running:
                    self._ids[running[trial._trial_id]] = made

    def _best(self, ended: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Those with the highest scores; of two goals the front as well."""
        scored = [t for t in ended if t.state == TrialState.COMPLETE and not _broken(t)]
        best = sorted(scored, key=lambda trial: -trial.values[0])[: self.memory.best]
        return [*best, *self._study.best_trials] if len(self._directions) > 1 else best

    def report(self, number: int, epoch: int, score: float) -> None:
        """Takes the score of an epoch; that of a pruned trial's last one is all that is known of it."""
        if number in self._ids and len(self._directions) == 1:  # Optuna ranks no pruned trials by two goals
            self._study._storage.set_trial_intermediate_value(self._ids[number], epoch, score)

    def ended(
        self, number: int, state: TrialState, values: Sequence[float] | None = None, infeasible: bool = False
    ) -> None:
        """The trial has ended.

        An infeasible one counts as complete with a broken constraint: worse than every other. A failed one says
        nothing, and nothing is learned from it.

        Args:
            number: of the trial.
            state: how it ended.
            values: one for each goal, of a complete one.
            infeasible: whether its like cannot run either.
        """
        if number not in self._ids:
            return
        made = self._ids.pop(number)
        if infeasible:
            state, values = TrialState.COMPLETE, [0.0, self._worst][: len(self._directions)]
        if state in (TrialState.COMPLETE, TrialState.PRUNED):  # the Gaussian process wants the constraint of all
            optuna.Trial(self._study, made).set_constraint(INFEASIBLE, 1.0 if infeasible else -1.0)
        if state == TrialState.COMPLETE:
            self._worst = max([self._worst, *(values or ())[1:]])
        self._study._storage.set_trial_state_values(made, state, values if state == TrialState.COMPLETE else None)

    def remember(self, number: int, assignment: Assignment, scores: Mapping[int, float]) -> None:
        """A trial of an earlier start, with its scores by epoch; `ended` follows if it has ended."""
        self.begun(number, assignment)
        for epoch, score in scores.items():
            self.report(number, epoch, score)


def _broken(trial: FrozenTrial) -> bool:
    return trial.constraints.get(INFEASIBLE, -1.0) > 0
