"""What to try next. No assignment twice, no forbidden one."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeps.space import pairwise
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import Assignment, assignments, count, forbidden, on_step, planned, suggest

_REPEATS = 5  # proposals the sampler may repeat before a random unseen one is taken instead
_ENUMERABLE = 100_000


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


class Proposer:
    """Proposes assignments; knows what was proposed before.

    Optuna's samplers run on a copy of the study in memory: an ask there costs a fraction of one on a database,
    and a proposal that is refused (a repeat, a forbidden pair) leaves no trace in the study people look at.

    Args:
        space: what can be proposed.
        history: the study's trials so far.
    """

    def __init__(self, space: SearchSpace, history: Iterable[FrozenTrial]) -> None:
        self._space = space
        self.kind, _ = planned(space)
        kind = self.kind
        past = [trial for trial in history if trial.params or not space.search]
        self._seen = {_key(trial.params) for trial in past}
        self._order: Iterator[Assignment] = assignments(space) if kind == "exhaustive" else iter(())
        self.size = count(space)
        if kind == "pairwise":
            pairs = [_drawn(space, row) for row in pairwise.rows(space)]
            self._order = iter(pairs)
            self.size = len(self._seen | {_key(one) for one in pairs})
        seed = space.sampler.seed + len(past)  # a second start must not repeat the first one's random numbers
        self._random = random.Random(seed)
        sampler: optuna.samplers.BaseSampler
        if kind == "tpe":
            sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        else:
            sampler = optuna.samplers.RandomSampler(seed=seed)
        self._memory = optuna.create_study(direction="maximize", sampler=sampler)
        self._numbers: dict[int, int] = {}  # trial of the study -> trial in memory
        for trial in past if kind == "tpe" else ():
            self._numbers[trial.number] = len(self._memory.get_trials(deepcopy=False))
            self._memory.add_trial(trial)

    @property
    def exhausted(self) -> bool:
        """Whether a finite space has been tried out."""
        return self.size is not None and len(self._seen) >= self.size

    def propose(self) -> Assignment | None:
        """The next assignment, or None when the space has been tried out."""
        if self.exhausted:
            return None
        if self.kind in ("exhaustive", "pairwise"):
            chosen = next((a for a in self._order if _key(a) not in self._seen), None)
        else:
            chosen = self._sample() or self._unseen()
        if chosen is not None:
            self._seen.add(_key(chosen))
        return chosen

    def begun(self, number: int, trial: FrozenTrial) -> None:
        """The study's trial `number` runs now; its sampler sees it as running."""
        self._seen.add(_key(trial.params))
        if self.kind == "tpe":
            self._numbers[number] = len(self._memory.get_trials(deepcopy=False))
            self._memory.add_trial(trial)

    def ended(self, number: int, state: TrialState, value: float | None) -> None:
        """The study's trial `number` has ended."""
        if number in self._numbers:
            complete = state == TrialState.COMPLETE
            self._memory.tell(self._numbers.pop(number), value if complete else None, state=state)

    def _sample(self) -> Assignment | None:
        for _ in range(_REPEATS):
            trial = self._memory.ask()
            assignment = suggest(self._space, OptunaSuggester(trial))
            # only a draft: the study's own trial is added by `begun`
            self._memory.tell(trial, state=TrialState.FAIL)
            if _key(assignment) not in self._seen and not forbidden(self._space, assignment):
                return assignment
        return None

    def _unseen(self) -> Assignment | None:
        """A random assignment that was not proposed yet."""
        if self.size is not None and self.size <= _ENUMERABLE:
            left = [a for a in assignments(self._space) if _key(a) not in self._seen]
            return self._random.choice(left) if left else None
        draws = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=self._random.randrange(2**31)))
        for _ in itertools.repeat(None, 1000):
            assignment = suggest(self._space, OptunaSuggester(draws.ask()))
            if _key(assignment) not in self._seen and not forbidden(self._space, assignment):
                return assignment
        return None


class _Drawn:
    """Labels as given, all else at random."""

    def __init__(self, given: Assignment, seed: str) -> None:
        self._given, self._random = given, random.Random(seed)

    def categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._given[name] if name in self._given else self._random.choice(choices)

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        if step is not None:
            return on_step(low + step * self._random.randint(0, round((high - low) / step)), low, step)
        if log:
            return min(high, max(low, math.exp(self._random.uniform(math.log(low), math.log(high)))))
        return self._random.uniform(low, high)

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        return self._random.randrange(low, high + 1, step)


def _drawn(space: SearchSpace, row: Assignment) -> Assignment:
    """A row of pairs with what it leaves open drawn at random, the same whenever the study goes on."""
    return suggest(space, _Drawn(row, f"{space.sampler.seed} {_key(row)}"))


def _key(assignment: dict[str, Any]) -> str:
    return json.dumps(assignment, sort_keys=True)
