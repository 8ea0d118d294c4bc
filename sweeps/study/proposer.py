"""What to try next. No assignment twice, no forbidden one."""

from __future__ import annotations

import json
import math
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from results.records import TrialRecord
from sweeps.space import pairwise
from sweeps.space.exclusion import Assignment, forbidden
from sweeps.space.schema import Choice, SearchSpace
from sweeps.space.walk import assignments, count, on_step, planned, suggest
from sweeps.study.goals import goals
from sweeps.study.repeating import Repeating
from sweeps.study.sampler import Sampler

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "infeasible": TrialState.FAIL,
}
# Failures that the assignment itself causes: the sampler must keep away from its like.
LEARNED = ("out_of_memory", "nan_loss")
# Proposals that a sampler may repeat before a random unseen one is taken instead. TPE has weighed 24 candidates in each
# (of a space that it does not list), a Gaussian process's best point hardly moves, and both take long.
_REPEATS, _COSTLY = 5, 2
_BLIND = 100  # random ones that may turn out to be repeats before a finite space is listed
_ENUMERABLE = 100_000


class Proposer:
    """Proposes assignments; knows what was proposed before.

    Args:
        space: what can be proposed.
        history: the study's trials so far.
        scores: of the history by number and epoch, as far as they are of use (see `learns`).
        opening: what a sampler tries first, unless it was tried; see `sweeps.space.opening`.
    """

    def __init__(
        self,
        space: SearchSpace,
        history: Iterable[TrialRecord],
        scores: Mapping[int, Mapping[int, float]] | None = None,
        opening: Assignment | None = None,
    ) -> None:
        self._space = space
        self.kind, _ = planned(space)
        past = list(history)
        self._seen = {_key(row.optuna_params) for row in past}
        self._order: Iterator[Assignment] = assignments(space) if self.kind == "exhaustive" else iter(())
        self.size = count(space)
        if self.kind == "pairwise":
            pairs = [_drawn(space, row) for row in pairwise.rows(space)]
            self._order = iter(pairs)
            self.size = len(self._seen | {_key(one) for one in pairs})
        self._repeating = Repeating(space, past) if space.adaptive else None
        for row in past if self._repeating else ():
            self._seen |= {_key(one) for one in self._repeated(row.optuna_params)}
        seed = space.sampler.seed + len(past)  # a second start must not repeat the first one's random numbers
        self._random = random.Random(seed)
        self._sampler = Sampler(space, self.kind, seed, self._refused)
        self._tries = _COSTLY if self.kind in ("gp", "tpe") else _REPEATS
        self._patience = self._tries + (2 * len(past) if self.kind == "qmc" else 0)  # its sequence begins anew
        self._left_out: set[str] = set()
        self._owed = self._unfinished(past)
        for row in past:
            self._leave_out(row)
        if opening is not None and not self.listed and _key(opening) not in self._seen:
            self._owed.appendleft(opening)
            if not self._repeating:
                self._owed.extend(one for one in self._repeated(opening) if one != opening)
        self._draft: int | None = None  # how the sampler calls what was proposed last
        for row in past if self.learns else ():
            self._sampler.remember(row.number, row.optuna_params, (scores or {}).get(row.number, {}))
            if row.state in STATES:
                self.ended(row)
        self._sampler.settle()

    @property
    def learns(self) -> bool:
        """Whether scores make a difference to what is proposed."""
        return self._sampler.learns

    @property
    def most(self) -> int | None:
        """How many trials a finite space gives, those included that there are; None if it has no end."""
        return None if self.size is None else self.size - len(self._left_out)

    @property
    def listed(self) -> bool:
        """Whether assignments come from a list, so that no sampler is asked."""
        return self.kind in ("exhaustive", "pairwise")

    @property
    def exhausted(self) -> bool:
        """Whether a finite space has been tried out."""
        return self._all_tried and not self.repeats

    @property
    def repeats(self) -> bool:
        """Whether a combination gets a further seed, for places are close."""
        return self._repeating is not None and self._repeating.next() is not None

    @property
    def _all_tried(self) -> bool:
        """Whether each combination of a finite space has been begun."""
        return self.size is not None and len(self._seen) >= self.size

    def propose(self) -> Assignment | None:
        """The next assignment, or None when the space has been tried out."""
        if self.exhausted:
            return None
        due = self._repeating and (self._all_tried or self._repeating.due)
        if due and (again := self.repeat()):
            return again
        if self.listed:
            chosen = next((a for a in self._order if _key(a) not in self._seen), None)
        elif self._owed:
            chosen = self._owed.popleft()
        else:
            chosen = self._sample() or self._unseen()
            if chosen is not None and not self._repeating:
                self._owed.extend(one for one in self._repeated(chosen) if one != chosen)
        if chosen is not None:
            self._saw(chosen)
        return chosen

    def repeat(self) -> Assignment | None:
        """A combination with a further seed, None where places are not close."""
        again = self._repeating.next() if self._repeating else None
        if self._repeating and again:
            self._repeating.begun(again)
        return again

    def _saw(self, assignment: Assignment) -> None:
        """The assignment is not proposed again; nor, where repeats are adaptive, its other seeds as something new."""
        self._seen.add(_key(assignment))
        if self._repeating:
            self._seen |= {_key(one) for one in self._repeated(assignment)}
            self._repeating.begun(assignment)

    def _repeated(self, assignment: Assignment) -> list[Assignment]:
        """The combination with each of its seeds, where the space asks for several."""
        return self._reseeded(assignment) if self._space.repeats > 1 else []

    def _reseeded(self, assignment: Assignment) -> list[Assignment]:
        """The combination with each seed that the space has a list of."""
        seeds = self._space.search.get("seed")
        return [{**assignment, "seed": seed} for seed in seeds.labels] if isinstance(seeds, Choice) else []

    def _leave_out(self, row: TrialRecord) -> None:
        """What does not fit into memory with one seed does not with another; rows of pairs are tried as they are."""
        if row.state != "infeasible" or self.kind == "pairwise":
            return
        others = {_key(one) for one in self._reseeded(row.optuna_params) if not forbidden(self._space, one)}
        self._left_out |= others - self._seen
        self._seen |= others
        self._owed = deque(one for one in self._owed if _key(one) not in others)

    def _unfinished(self, past: Iterable[TrialRecord]) -> deque[Assignment]:
        """What an earlier start did not come to: the other seeds of combinations that it began."""
        found: dict[str, Assignment] = {}
        for row in () if self.listed else past:
            found |= {_key(one): one for one in self._repeated(row.optuna_params)}
        return deque(one for key, one in found.items() if key not in self._seen)

    def begun(self, number: int, assignment: Assignment) -> None:
        """The study's trial `number` runs now; its sampler sees it as running."""
        self._saw(assignment)
        if self._draft is not None and self.learns:
            self._sampler.keep(self._draft, number)
        elif self.learns:
            self._sampler.begun(number, assignment)
        self._draft = None

    def prior(self, number: int, assignment: Assignment, score: float) -> None:
        """A result from elsewhere, under a number below 0; what it tried may still be proposed."""
        if self.learns:
            self._sampler.remember(number, assignment, {})
            self._sampler.ended(number, TrialState.COMPLETE, [score])

    def again(self, row: TrialRecord) -> None:
        """A trial that had ended runs again."""
        if self.learns:
            self._sampler.begun(row.number, row.optuna_params)

    def report(self, number: int, epoch: int, score: float) -> None:
        """A running trial has the score of an epoch."""
        if self.learns:
            self._sampler.report(number, epoch, score)

    def ended(self, row: TrialRecord) -> None:
        """A trial of the study has ended."""
        self._leave_out(row)
        if self._repeating:
            self._repeating.ended(row)
        if self.learns:
            infeasible = row.state == "infeasible" or row.failure in LEARNED
            self._sampler.ended(row.number, STATES[row.state], goals(self._space.objective, row), infeasible)

    def _sample(self) -> Assignment | None:
        tries, self._patience = self._patience, self._tries
        for _ in range(tries):
            assignment, draft = self._sampler.draw()
            if not self._refused(assignment):
                if self.learns:
                    self._draft = draft
                else:
                    self._sampler.drop(draft)
                return assignment
            self._sampler.drop(draft)
        return None

    def _refused(self, assignment: Assignment) -> bool:
        """Whether an assignment was proposed, or is forbidden; what lacks a parameter is neither."""
        if _key(assignment) in self._seen:
            return True
        return self._space.search.keys() <= assignment.keys() and forbidden(self._space, assignment)

    def _unseen(self) -> Assignment | None:
        """A random assignment that was not proposed yet."""
        listed = self.size is not None and self.size <= _ENUMERABLE
        for _ in range(_BLIND if listed else 10 * _BLIND):
            assignment = suggest(self._space, _Drawn({}, self._random))
            if not self._refused(assignment):
                return assignment
        left = [a for a in assignments(self._space) if _key(a) not in self._seen] if listed else []
        return self._random.choice(left) if left else None


class _Drawn:
    """What is given as given, all else at random."""

    def __init__(self, given: Assignment, source: random.Random) -> None:
        self._given, self._random = given, source

    def categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._given[name] if name in self._given else self._random.choice(choices)

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        if step is not None:
            return on_step(low + step * self._random.randint(0, round((high - low) / step)), low, step)
        if log:
            return min(high, max(low, math.exp(self._random.uniform(math.log(low), math.log(high)))))
        return self._random.uniform(low, high)

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        if log:
            return min(high, max(low, round(math.exp(self._random.uniform(math.log(low), math.log(high))))))
        return self._random.randrange(low, high + 1, step)


def _drawn(space: SearchSpace, row: Assignment) -> Assignment:
    """A row of pairs with what it leaves open drawn at random, the same whenever the study goes on."""
    return suggest(space, _Drawn(row, random.Random(f"{space.sampler.seed} {_key(row)}")))


def _key(assignment: dict[str, Any]) -> str:
    return json.dumps(assignment, sort_keys=True)
