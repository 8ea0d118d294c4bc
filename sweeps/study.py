"""The one owner of ask, report, prune and tell: Optuna's study and our store, kept in step.

The store is written first, then the study is told. What a crash left untold is told at the next start.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from results.records import EpochRecord, StudyRecord, StudyState, TrialRecord, now
from results.store import Store
from runner.protocol import Combination, DataPaths, EpochReport, Lease, Result, Scale
from sweeps.proposer import OptunaSuggester, Proposer
from sweeps.space.resolve import resolve
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import suggest

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "infeasible": TrialState.FAIL,
}
optuna.logging.set_verbosity(optuna.logging.WARNING)  # its lines about trials repeat ours
_LOCK_TIMEOUT = 60  # seconds that SQLite waits for a reader or foreign writer


class Study:
    """A study in one database.

    Args:
        storage: URL of the database.
        store: our tables in it.
        record: the study as our tables hold it.
        space: what is searched.
        data: where the data lie.
    """

    def __init__(self, storage: str, store: Store, record: StudyRecord, space: SearchSpace, data: DataPaths) -> None:
        self.store, self.record, self.space, self.data = store, record, space, data
        self.scale: Scale = "tiny" if record.scale == "tiny" else "standard"
        arguments = {"connect_args": {"timeout": _LOCK_TIMEOUT}} if storage.startswith("sqlite") else {}
        self._optuna = optuna.create_study(
            storage=RDBStorage(storage, engine_kwargs=arguments),
            study_name=record.name,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(),  # never asked: what we enqueue fixes every parameter
            pruner=_pruner(space),
            load_if_exists=True,
        )
        if not self._optuna.metric_names:
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                self._optuna.set_metric_names([record.objective])
        self._recover()
        self._proposer = Proposer(space, self._optuna.get_trials(deepcopy=False))

    def _recover(self) -> None:
        """Brings store and study in step after a crash: no trial lost, none left RUNNING."""
        rows = {trial.number: trial for trial in self.store.trials(self.record.name)}
        for trial in self._optuna.get_trials(deepcopy=False):
            row = rows.get(trial.number)
            if trial.state == TrialState.RUNNING and row is None:
                self._adopt(optuna.Trial(self._optuna, trial._trial_id))
            elif trial.state == TrialState.RUNNING and row is not None and row.state in _STATES:
                self._tell(row)
        while any(t.state == TrialState.WAITING for t in self._optuna.get_trials(deepcopy=False)):
            self._adopt(self._optuna.ask())
        for row in rows.values():
            if row.state == "running":
                self.store.release(self.record.name, row.number, "stopped", "the study's owner ended")

    def ask(self) -> int | None:
        """Adds the next trial, or returns None when the budget is spent or the space tried out."""
        if not self.budget_left():
            return None
        assignment = self._proposer.propose()
        if assignment is None:
            return None
        self._optuna.enqueue_trial(assignment)
        trial = self._optuna.ask()
        self._adopt(trial)
        self._proposer.begun(trial.number, self._optuna._storage.get_trial(trial._trial_id))
        return trial.number

    def budget_left(self) -> bool:
        """Whether the budget allows another trial."""
        budget = self.space.budget
        rows = self.store.trials(self.record.name)
        if budget.trials is not None and len(rows) >= budget.trials:
            return False
        if budget.gpu_hours is not None and sum(row.seconds or 0 for row in rows) >= 3600 * budget.gpu_hours:
            return False
        if budget.hours is not None and now() - self.record.started_at >= timedelta(hours=budget.hours):
            return False
        best = max((r.score for r in rows if r.state == "complete" and r.score is not None), default=-math.inf)
        return budget.until is None or best < budget.until

    def more_to_try(self) -> bool:
        """Whether `ask` would give a trial."""
        return not self._proposer.exhausted and self.budget_left()

    def trials_left(self) -> int | None:
        """How many trials may still begin; None if only time or a score limits them."""
        begun = len(self.store.trials(self.record.name))
        limits = [n for n in (self.space.budget.trials, self._proposer.size) if n is not None]
        return max(0, min(limits) - begun) if limits else None

    def lease(self, number: int, fence: int, worker: str, owner: str, device: str) -> Lease:
        """Stores that a worker has the trial and builds what it needs to train it."""
        name = self.record.name
        self.store.lease(name, number, fence=fence, worker=worker, owner=owner, device=device)
        row, epochs = self.row(number), self.store.epochs(name, number)
        hours = self.space.budget.trial_hours
        return Lease(
            study=name,
            trial=number,
            fence=fence,
            combination=_adjusted(row),
            seed=row.seed,
            scale=self.scale,
            data=self.data,
            objective=self.space.objective,
            detections=self.record.detections,
            work_dir=self.record.work_dir,
            plugins=self.space.plugins,
            reported=tuple(EpochReport(epoch=e.epoch, metrics=e.metrics, seconds=e.seconds) for e in epochs),
            limit_seconds=None if hours is None else max(0.0, 3600 * hours - sum(e.seconds for e in epochs)),
        )

    def report(self, number: int, report: EpochReport) -> bool:
        """Stores one validation; True if the trial should be pruned."""
        score = report.metrics.get(self.record.objective)
        self.store.add_epoch(
            self.record.name, number, EpochRecord(report.epoch, score, dict(report.metrics), report.seconds)
        )
        if score is None:
            return False
        trial = self._trial(number)
        trial.report(score, report.epoch)
        # after its last epoch there is nothing left to save
        return report.epoch < self.row(number).epochs and bool(trial.should_prune())

    def release(self, number: int, end: str = "lost_worker", reason: str | None = None) -> None:
        """Stores that the trial waits again, and what ended the attempt."""
        self.store.release(self.record.name, number, end, reason)

    def batch(self, number: int) -> tuple[int, int]:
        """Batch size and accumulation that the trial trains with now."""
        settings = _adjusted(self.row(number)).settings
        return int(settings.get("batch_size", 1)), int(settings.get("accumulate", 1))

    def restart(self, number: int, adjusted: Mapping[str, Any]) -> None:
        """Stores that the trial begins anew, with these settings changed."""
        self.store.restart(self.record.name, number, adjusted)

    def finish(self, number: int, result: Result, failure: str | None = None) -> None:
        """Stores how the trial ended, then tells the study."""
        row = self.row(number)
        state, reason = result.outcome, result.reason
        if state == "complete" and row.score is None:
            state, reason = "failed", f"no validation gave {self.record.objective}"
        seconds = result.seconds
        if seconds is None:  # it ended badly; what it took counts all the same
            seconds = sum(epoch.seconds for epoch in self.store.epochs(self.record.name, number))
        self.store.finish(
            self.record.name, number, state=state, failure=failure or result.failure, reason=reason,
            parameters=result.parameters, peak_memory_mb=result.peak_memory_mb, seconds=seconds,
            versions=result.versions, config=result.config,
        )  # fmt: skip
        row = self.row(number)
        self._tell(row)
        self._proposer.ended(number, _STATES[row.state], row.score)

    def set_state(self, state: StudyState) -> None:
        """Stores how the study stands."""
        self.store.touch_study(self.record.name, state=state)

    def row(self, number: int) -> TrialRecord:
        """The trial as the store holds it; the study must have it."""
        row = self.store.trial(self.record.name, number)
        assert row is not None
        return row

    def _adopt(self, trial: optuna.Trial) -> None:
        """Gives a trial of the study its row in the store."""
        assignment = suggest(self.space, OptunaSuggester(trial))
        combination, seed = resolve(self.space, assignment, self.scale, self.data.n_train)
        trial.set_user_attr("combination", combination.digest())
        trial.set_user_attr("folder", f"{self.record.work_dir}/{self.record.name}/{trial.number}")
        # last: a trial without a row is adopted again after a crash
        self.store.add_trial(
            self.record.name, trial.number, combination=combination.digest(),
            parts=combination.model_dump(mode="json"), params=combination.flat_params(),
            optuna_params=assignment, seed=seed, epochs=combination.settings["epochs"], owner="",
            data_hash=self.data.hash,
        )  # fmt: skip

    def _trial(self, number: int) -> optuna.Trial:
        trial_id = self._optuna._storage.get_trial_id_from_study_id_trial_number(self._optuna._study_id, number)
        return optuna.Trial(self._optuna, trial_id)

    def _tell(self, row: TrialRecord) -> None:
        """Tells the study what the store holds, figures the study missed included."""
        trial = self._trial(row.number)
        known = self._optuna._storage.get_trial(trial._trial_id).intermediate_values
        for epoch in self.store.epochs(self.record.name, row.number):
            if epoch.score is not None and epoch.epoch not in known:
                trial.report(epoch.score, epoch.epoch)
        attributes: Mapping[str, Any] = {"owner": row.owner, "reason": row.reason, **row.metrics}
        for key, value in attributes.items():
            if value is not None:
                trial.set_user_attr(key, value)
        state = _STATES[row.state]
        self._optuna.tell(row.number, row.score if state == TrialState.COMPLETE else None, state=state)


def _adjusted(row: TrialRecord) -> Combination:
    """What the trial trains now: what was proposed, with the settings that an out-of-memory retry changed."""
    settings = {**row.parts["settings"], **(row.adjusted or {})}
    return Combination.model_validate({**row.parts, "settings": settings})


def _pruner(space: SearchSpace) -> optuna.pruners.BasePruner:
    """Optuna's pruner; it counts validations, which come once an epoch."""
    options = space.pruner.options
    match space.pruner.kind:
        case "none":
            return optuna.pruners.NopPruner()
        case "median":
            return optuna.pruners.MedianPruner(
                n_startup_trials=options["startup_trials"],
                n_warmup_steps=options["warmup_epochs"] + 1,  # Optuna counts from 0, epochs from 1
                interval_steps=options["interval"],
            )
        case "successive_halving":
            return optuna.pruners.SuccessiveHalvingPruner(
                min_resource=options["min_epochs"], reduction_factor=options["reduction_factor"]
            )
        case "hyperband":
            epochs = space.fixed.get("epochs")
            return optuna.pruners.HyperbandPruner(
                min_resource=options["min_epochs"],
                max_resource=epochs if isinstance(epochs, int) else "auto",
                reduction_factor=options["reduction_factor"],
            )
