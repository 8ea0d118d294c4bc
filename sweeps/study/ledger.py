"""Optuna's tables of one study: what optuna-dashboard shows. Our store is the truth, this follows it.

Only the owner of the study writes them, one call a transaction, so that a call costs the same however many trials
there are. A database that is away is waited for, and what it may have done although its answer got lost is not done
twice.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState

from results.database.opening import CONNECT_SECONDS
from results.database.outage import AwayError, insist
from results.database.sqlite import WRITER_SECONDS, relax, wait_for_locks
from results.reader import Reader
from results.store import Store
from runner.protocol import Objective
from sweeps.study.goals import directions
from sweeps.study.ledger_change import Change

_LAG_SECONDS = 1.0
_OPEN: WeakKeyDictionary[Reader, RDBStorage] = WeakKeyDictionary()
T = TypeVar("T")
optuna.logging.set_verbosity(optuna.logging.WARNING)  # its lines about trials repeat ours


class Ledger:
    """The trials of one study in Optuna's tables, by Optuna's numbers.

    Args:
        storage: URL of the database.
        store: our tables in it.
        name: of the study.
        objective: what is maximised, and what is minimised beside it.

    Attributes:
        study: Optuna's study, for reading.
    """

    def __init__(self, storage: str, store: Store, name: str, objective: Objective) -> None:
        self._store = store
        self._storage = open_storage(storage, store)
        self.study = self._steadily(lambda: self._study(name, objective))
        self._study_id = self.study._study_id
        self._ids: dict[int, int] = {}  # number -> id, of trials that have not ended
        self._next = 0
        self._tried: Mapping[str, Any] | None = None  # parameters of a trial that may have been made, or not
        self._waiting: dict[int, dict[int, float]] = {}  # scores by number and epoch
        self._flushed = -math.inf

    def _study(self, name: str, objective: Objective) -> optuna.Study:
        study = optuna.create_study(
            storage=self._storage,
            study_name=name,
            directions=directions(objective),
            sampler=optuna.samplers.RandomSampler(),  # never asked: every parameter is given
            pruner=optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        if not study.metric_names:
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                study.set_metric_names([one for one in (objective.metric, objective.against) if one])
        return study

    def trials(self) -> list[FrozenTrial]:
        """All trials; slow where there are thousands."""
        self.flush()
        return self._steadily(lambda: self._storage.get_all_trials(self._study_id, deepcopy=False))

    def unfinished(self) -> list[FrozenTrial]:
        """Trials that run or wait, in one query."""
        states = (TrialState.RUNNING, TrialState.WAITING)
        return self._steadily(lambda: self._storage.get_all_trials(self._study_id, deepcopy=False, states=states))

    def start_after(self, number: int) -> None:
        """Tells which numbers are taken: those up to `number`, and what follows it without a gap."""
        self._next = number + 1
        while self._id(self._next) is not None:
            self._next += 1

    def begin(
        self,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        attributes: Callable[[int], Mapping[str, Any]],
    ) -> int:
        """Adds a running trial, with the attributes that go with its number; the number."""

        def make() -> int:
            """Makes the trial, unless an attempt whose answer got lost has made it; its id."""
            made = self._find(params) if self._tried == params else None
            self._tried = params
            return self._make(params, distributions, attributes(self._next)) if made is None else made

        made, expected = self._steadily(make), self._next
        self._steadily(lambda: self._find(params, made))
        number, self._next = self._next, self._next + 1
        self._ids[number], self._tried = made, None
        if number != expected:  # somebody else's came before
            self.describe(number, attributes(number))
        return number

    def _make(
        self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], attributes: Mapping[str, Any]
    ) -> int:
        template = optuna.create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs=dict(attributes),
        )
        # As Optuna's own `create_new_trial` does, which by itself repeats what it got no answer to: made twice.
        with _create_scoped_session(self._storage.scoped_session) as session:
            models.StudyModel.find_or_raise_by_id(self._study_id, session, for_update=True)
            trial: Any = self._storage._get_prepared_new_trial(self._study_id, template, session)
            made: int = trial.trial_id
            return made

    def _find(self, params: Mapping[str, Any], made: int | None = None) -> int | None:
        """The first trial from the next number on that is the made one, or has these parameters; takes its number."""
        number = self._next
        while (known := self._id(number)) is not None:
            if known == made or (made is None and self._storage.get_trial(known).params == params):
                self._next = number
                return known
            number += 1
        return None

    def live(self, trial: FrozenTrial) -> optuna.Trial:
        """Optuna's own object for an unfinished trial, which begins if it waits; slow, reads all trials."""

        def start() -> optuna.Trial:
            if trial.state == TrialState.WAITING:
                self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
            self.study.get_trials(deepcopy=False)
            return optuna.Trial(self.study, trial._trial_id)

        return self._steadily(start)

    def describe(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Sets what the dashboard shows with a trial."""
        self._change(number, Change(attributes))

    def report(self, number: int, epoch: int, score: float) -> None:
        """Sets the score of an epoch; under load that waits for others, a second at most while trials report."""
        self._waiting.setdefault(number, {})[epoch] = score
        if time.monotonic() - self._flushed >= _LAG_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes the scores that wait, all in one transaction; they wait on while the database is away."""
        self._flushed = time.monotonic()
        try:
            with self._store.guard():
                changes = {n: Change(scores=s) for n, s in self._waiting.items() if self._known(n, patient=False)}
                if changes:
                    self._write({self._ids[number]: change for number, change in changes.items()})
        except AwayError:
            return
        self._waiting.clear()

    def mark(self, number: int, key: str, value: Any) -> None:
        """Sets what Optuna's pruners remember about a trial; one that somebody has ended in the dashboard stays so."""
        if self._known(number):
            with contextlib.suppress(UpdateFinishedTrialError):
                self._steadily(lambda: self._storage.set_trial_system_attr(self._ids[number], key, value))

    def end(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float],
        attributes: Mapping[str, Any],
        scores: Mapping[int, float] | None = None,
    ) -> None:
        """Ends a trial; does nothing if it has ended.

        Args:
            values: of a complete one, for each goal; of a pruned one its last score.
            attributes: what the dashboard shows with it.
            scores: by epoch; those it does not have yet are added.
        """

        self._waiting.pop(number, None)
        self._change(number, Change(attributes, scores or {}, state, values))
        self._ids.pop(number, None)

    def _change(self, number: int, change: Change) -> None:
        if self._known(number):
            self._steadily(lambda: self._write({self._ids[number]: change}))

    def _known(self, number: int, patient: bool = True) -> bool:
        """Whether there is such a trial."""
        if number not in self._ids:
            found = self._steadily(lambda: self._id(number)) if patient else self._id(number)
            if found is not None:
                self._ids[number] = found
        return number in self._ids

    def _write(self, changes: Mapping[int, Change]) -> None:
        """Changes trials, by id, in one transaction (Optuna's public way takes one for each of a dozen attributes).

        One that has ended stays as it is: an answer got lost, or somebody has ended it in the dashboard.
        """
        with _create_scoped_session(self._storage.scoped_session) as session:
            for number, change in changes.items():
                trial = models.TrialModel.find_or_raise_by_id(number, session)
                if not trial.state.is_finished():
                    change.apply(session, trial)

    def _id(self, number: int) -> int | None:
        try:
            return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        except KeyError:
            return None

    def _steadily(self, action: Callable[[], T]) -> T:
        """Does it, waits while the database is away; what goes wrong becomes one line (ResultsError)."""
        with self._store.guard():
            return insist(self._store.patience, action)


def open_storage(storage: str, store: Reader) -> RDBStorage:
    """Optuna's own view of a store's database, patient as ours: one for all studies, as each keeps connections open."""
    if store not in _OPEN:
        with store.guard():
            _OPEN[store] = insist(store.patience, lambda: _open(storage))
    return _OPEN[store]


def _open(storage: str) -> RDBStorage:
    storage = storage.replace("{", "{{").replace("}", "}}")  # it formats what it is given
    if not storage.startswith("sqlite"):
        args = {} if "connect_timeout=" in storage else {"connect_timeout": CONNECT_SECONDS}
        return RDBStorage(storage, engine_kwargs={"pool_pre_ping": True, "connect_args": args})
    found = RDBStorage(storage, engine_kwargs={"connect_args": {"timeout": WRITER_SECONDS}})
    wait_for_locks(found.engine, WRITER_SECONDS)
    relax(found.engine)
    return found
