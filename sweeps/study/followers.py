"""What follows our store: Optuna's tables for people's eyes, the sampler and the pruner in memory.

The store is written first. A crash, or a database that is away, may leave these behind: they catch up at the next
start, or at the next end of a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from results.errors import ResultsError
from results.records import FINAL, TrialRecord
from results.store import Store
from runner.protocol import Scale
from sweeps.space.exclusion import Assignment
from sweeps.space.opening import opening
from sweeps.space.resolve import resolve
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import first, stopping
from sweeps.study.forms import distributions
from sweeps.study.further import FURTHER, is_further, shown
from sweeps.study.goals import goals
from sweeps.study.ledger import Ledger
from sweeps.study.proposer import STATES, Proposer
from sweeps.study.pruning import Images, Pruning, group
from sweeps.study.wilcoxon import Wilcoxon

RETRY = "retry_of"  # user attribute of Optuna's trial that stands for another one's retry
Attributes = Callable[[int], Mapping[str, object]]  # number -> what the dashboard shows with the trial


class Followers:
    """Optuna's side of a study. Trials are known by our numbers; after a retry Optuna's number is another one.

    Args:
        storage: URL of the database.
        store: our tables in it.
        name: of the study.
        space: what is searched.
        adopt: gives a trial its row that a crash left without one.
        scale: of what is trained.
        n_train: number of training images.

    Attributes:
        proposer: says what to try next.
        further: trials that a confirmation ordered; neither the sampler nor the pruner learns from them, for what is
            trained with many seeds would count many times.
    """

    def __init__(
        self,
        storage: str,
        store: Store,
        name: str,
        space: SearchSpace,
        adopt: Callable[[FrozenTrial, Ledger], None],
        scale: Scale,
        n_train: int,
    ) -> None:
        self._store, self._name, self._space, self._scale, self._n_train = store, name, space, scale, n_train
        self.ledger = Ledger(storage, store, name, space.objective)
        self._untold: set[int] = set()  # ended, but Optuna's tables could not be reached
        self._aliases: dict[int, int] = {}  # trials that were tried again -> their number in Optuna's tables
        self._pruning: Pruning | Wilcoxon | None = None
        self._catch_up(store.trials(name), adopt)
        rows = store.trials(name)
        self.further = {row.number for row in rows if is_further(space, row)}
        self.ledger.start_after(max([-1, *(row.number for row in rows), *self._aliases.values()]))
        self._follow(space, rows)

    def change(self, space: SearchSpace) -> None:
        """Takes the space's sampler and pruner, which may change; they learn of all trials anew."""
        self._follow(space, self._store.trials(self._name))

    def _follow(self, space: SearchSpace, rows: Sequence[TrialRecord]) -> None:
        self._space = space
        rows = [row for row in rows if row.number not in self.further]
        scores = self._store.scores(self._name) if any(row.state == "pruned" for row in rows) else {}
        self.proposer = Proposer(space, rows, scores, opening(space, self._scale, self._n_train))
        self.learn_imports()
        self._pruning = None
        pruner = stopping(space)
        self._per = str(pruner.options.get("per", "none"))
        if pruner.kind != "none":
            groups = {row.number: self._group(row.optuna_params) for row in rows}
            groups |= {alias: groups[number] for number, alias in self._aliases.items() if number in groups}
            trials, mark = self.ledger.trials(), self.ledger.mark
            self._pruning = (
                Wilcoxon(space, trials, groups, mark)
                if pruner.kind == "wilcoxon"
                else Pruning(pruner, self._name, self._all_epochs(), trials, groups, mark)
            )

    def _all_epochs(self) -> int | None:
        """Of any trial; None where they are searched."""
        if "epochs" in self._space.search:
            return None
        combination, _ = resolve(self._space, first(self._space), self._scale, self._n_train)
        return int(combination.settings["epochs"])

    def learn_imports(self, known: int = 0) -> None:
        """Tells the sampler of results from elsewhere, but not of the first `known` again."""
        for number, prior in enumerate(self._store.imports(self._name), start=1):
            if number > known and prior.assignment is not None:
                self.proposer.prior(-number, prior.assignment, prior.score)

    def _catch_up(self, rows: Sequence[TrialRecord], adopt: Callable[[FrozenTrial, Ledger], None]) -> None:
        """Brings Optuna's tables in step after a crash: no trial lost, none left RUNNING that has ended."""
        self._aliases = {row.number: row.optuna_number for row in rows if row.optuna_number is not None}
        known = {self._number(row.number): row for row in rows}
        tried = [row.optuna_params for row in rows]
        for trial in self.ledger.unfinished():
            row = known.get(trial.number)
            if row is not None and row.state in FINAL:
                self._tell(row)
            elif row is None and ({RETRY, FURTHER} & set(trial.user_attrs) or (trial.params and trial.params in tried)):
                # a retry or a further seed that did not come to its beginning, or a trial made twice since the first
                # answer got lost
                self.ledger.end(trial.number, TrialState.FAIL, (), {"reason": "not begun"})
            elif row is None:
                adopt(trial, self.ledger)

    def begin(self, assignment: Assignment, attributes: Attributes, further: bool = False) -> int:
        """Begins a trial in Optuna's tables, with its own seed or a further one; its number there."""
        forms = shown(distributions(self._space, assignment), further)
        number = self.ledger.begin(shown(assignment, further), forms, attributes)
        if self._pruning and not further:
            self._pruning.begun(number, self._group(assignment))
        return number

    def _group(self, assignment: Assignment) -> str:
        """The pruner compares trials of one group."""
        combination, _ = resolve(self._space, assignment, self._scale, self._n_train)
        return group(self._per, combination)

    def begin_again(self, row: TrialRecord, attributes: Attributes) -> int:
        """Begins a trial in Optuna's tables that stands for `row` once `stands_in` is told; its number."""
        extra = {RETRY: row.number, "retries": row.retries + 1}
        further = is_further(self._space, row)
        if further:
            extra |= {"seed": row.seed}
        return self.begin(row.optuna_params, lambda _: {**attributes(row.number), **extra}, further)

    def stands_in(self, row: TrialRecord, optuna_number: int) -> None:
        """The retry of `row` is stored."""
        self._aliases[row.number] = optuna_number
        if row.number not in self.further:
            self.proposer.again(row)

    def report(self, number: int, epoch: int, score: float, images: Images | None = None) -> bool:
        """Takes the score of an epoch, of each image where the pruner asks for it; whether to prune the trial."""
        optuna_number = self._number(number)
        if number not in self.further:
            self.proposer.report(number, epoch, score)
        prune = self._pruning.report(optuna_number, epoch, score, images) if self._pruning else False
        self.ledger.report(optuna_number, epoch, score)
        return prune and number not in self._aliases  # who tries a trial again wants to see its end

    def restarted(self, number: int) -> None:
        """The trial starts from scratch."""
        if self._pruning:
            self._pruning.restarted(self._number(number))

    def ended(self, row: TrialRecord) -> None:
        """A trial has ended."""
        if row.number not in self.further:
            self.proposer.ended(row)
        self._untold.add(row.number)
        for number in sorted(self._untold):
            found = row if number == row.number else self._store.trial(self._name, number)
            try:
                if found and found.state in FINAL:
                    self._tell(found)
            except ResultsError:
                return
            self._untold.discard(number)

    def _tell(self, row: TrialRecord) -> None:
        """Tells Optuna's tables, and the pruner, what the store holds; figures that were missed included."""
        state, number = STATES[row.state], self._number(row.number)
        scores = {e.epoch: e.score for e in self._store.epochs(self._name, row.number) if e.score is not None}
        values = goals(self._space.objective, row) if state == TrialState.COMPLETE else None
        if state == TrialState.PRUNED and scores:
            values = [scores[max(scores)]]
        attributes = {"owner": row.owner, "reason": row.reason, "failure": row.failure, **row.metrics}
        if self._pruning:
            self._pruning.ended(number, state, values[0] if values else None)
        self.ledger.end(number, state, values or (), attributes, scores)

    def _number(self, number: int) -> int:
        return self._aliases.get(number, number)
