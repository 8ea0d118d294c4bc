"""The one owner of ask, report, prune and tell: our store, and what follows it, kept in step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from datetime import timedelta

from optuna.trial import FrozenTrial

from results.errors import ResultsError
from results.ranking.confirmation import Order, order, owed, settled
from results.ranking.pareto import cost
from results.records import FINAL, EpochRecord, ImportRecord, StudyRecord, StudyState, TrialRecord
from results.store import Store
from runner.errors import UserError
from runner.protocol import Combination, DataPaths, EpochReport, Lease, Result, Scale
from sweeps.space.exclusion import Assignment
from sweeps.space.resolve import resolve
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import suggest
from sweeps.study.evidence import each_image, keep_evidence
from sweeps.study.followers import Followers
from sweeps.study.forms import OptunaSuggester
from sweeps.study.further import Proposal, highest_seed
from sweeps.study.ledger import Ledger
from sweeps.study.tally import Tally


class Study:
    """A study in one database.

    Args:
        storage: URL of the database.
        store: our tables in it.
        record: the study as our tables hold it.
        space: what is searched.
        data: where the data lie.
        workers_survive: whether those that train for the study outlive this process; what they train is then theirs
            still when it starts again.

    Attributes:
        before_end: called with the number of a trial that is about to end.
        further: trials with seeds that a confirmation ordered.
    """

    def __init__(
        self,
        storage: str,
        store: Store,
        record: StudyRecord,
        space: SearchSpace,
        data: DataPaths,
        workers_survive: bool = False,
    ) -> None:
        self.store, self.record, self.space, self.data = store, record, space, data
        store.claim(record.name)
        self.scale: Scale = record.scale
        self.before_end: Callable[[int], None] = lambda number: None
        self._proposed: Proposal | None = None  # not begun yet
        self._begun: int | None = None  # begun in Optuna's tables, not in ours yet
        self._epochs: dict[int, int] = {}  # planned for trials that were leased
        self.followers = Followers(storage, store, record.name, space, self._adopt, self.scale, data.n_train)
        rows = store.trials(record.name)
        self._ordered: deque[Proposal] | None = None  # trained in the place of what the sampler would propose
        self._searches_on = False  # once all of them have ended
        self._due = set[int]()  # of those that were begun
        self.further = self.followers.further
        seeds = 1 if space.adaptive else space.repeats
        spans = [one for one in store.spans(record.name) if one.ended or workers_survive]
        self._tally = Tally(
            [row for row in rows if row.number not in self.further], seeds,
            [one for one in spans if one.trial not in self.further],
        )  # fmt: skip
        for row in rows:
            if row.state == "running" and not workers_survive:
                self.store.release(record.name, row.number, "stopped", "the study's owner ended")

    def _adopt(self, trial: FrozenTrial, ledger: Ledger) -> None:
        """Gives a trial of Optuna's tables its row; where a crash left it without parameters, they are chosen now."""
        assignment = suggest(self.space, OptunaSuggester(ledger.live(trial)))
        ledger.describe(trial.number, self._attributes(trial.number, assignment))
        self._add(trial.number, assignment)

    def change(self, space: SearchSpace, record: StudyRecord) -> None:
        """Goes on with another budget, sampler or pruner; what identifies the study is the same."""
        self.space, self.record = space, record
        if self._begun is None:
            if self._ordered is not None and self._proposed is not None and self._proposed.seed is not None:
                self._ordered.appendleft(self._proposed)
            self._proposed = None
        self.followers.change(space)

    def order(self, proposals: Iterable[Proposal], search_on: bool = False) -> None:
        """Trains these and nothing else; `search_on`: once they have ended, what the sampler proposes, as before."""
        self._due = {number for number in self.further if self.row(number).state not in FINAL}
        self._ordered, self._searches_on = deque(proposals), search_on
        self._end_order()

    def confirm(self, top: int, seeds: int, only: Sequence[str] = (), search_on: bool = False) -> None:
        """Orders what `results.ranking.confirmation.order` says, as far as it is still to be trained.

        An order whose seeds have not ended yet stands, whatever else has come to its end meanwhile.

        Raises:
            UserError: no trial is complete, or none of a combination that is named.
        """
        name = self.record.name
        trials, kept = self.store.trials(name), self.kept_order()
        if unknown := set(only) - {one.combination for one in trials if one.state == "complete"}:
            raise UserError(f"study {name} has no complete trial of combination {min(unknown)}")
        if kept is None or not self._searches_on:
            try:
                kept = order(trials, top, seeds, kept, highest_seed(self.space), only)
            except ResultsError as error:
                raise UserError(str(error)) from error
            kept = replace(kept, search_on=search_on)
            self.store.confirm(name, kept.document())
        self._order_owed(kept, trials)

    def take_up_order(self) -> None:
        """Goes on with the seeds that a team's server had not trained when it ended."""
        kept = self.kept_order()
        if kept and kept.search_on and not settled(kept, trials := self.store.trials(self.record.name)):
            self._order_owed(kept, trials)

    def kept_order(self) -> Order | None:
        """The last confirmation's."""
        kept = self.store.study(self.record.name)
        return Order.read(kept.confirmation) if kept and kept.confirmation else None

    def _order_owed(self, wanted: Order, trials: Sequence[TrialRecord]) -> None:
        proposals = (Proposal(one.optuna_params, seed, one.number) for one, seed in owed(wanted, trials))
        self.order((one for one in proposals if one != self._proposed), wanted.search_on)

    def _end_order(self) -> None:
        """Whatever was ordered has ended, and was not meant to be the last that is trained."""
        begins = self._ordered or (self._proposed is not None and self._proposed.seed is not None)
        if self._searches_on and not begins and not self._due:
            self._ordered, self._searches_on = None, False

    @property
    def ordered(self) -> bool:
        """Whether somebody ordered what is trained."""
        return self._ordered is not None

    @property
    def only(self) -> Set[int] | None:
        """The trials that may be trained; None for all. An order's are its own: what else waits, goes on after it."""
        return self.further if self.ordered else None

    def _propose(self) -> Proposal | None:
        if self._ordered is not None:
            return self._ordered.popleft() if self._ordered else None
        if self._limit() is not None:
            return None
        proposer = self.followers.proposer
        # further seeds may show that another combination is the best, that there was a gain, or that its score was luck
        assignment = proposer.propose() if self._enough() is None else proposer.repeat()
        return None if assignment is None else Proposal(assignment)

    def take_imports(self, rows: Sequence[ImportRecord]) -> int:
        """Keeps results from elsewhere, and lets the sampler learn from the new ones; how many these are."""
        known = len(self.store.imports(self.record.name))
        new = self.store.add_imports(self.record.name, rows)
        self.followers.learn_imports(known)
        return new

    def ask(self) -> int | None:
        """Adds the next trial, or returns None when the budget is spent or the space tried out.

        What a database that was away did not let it finish, it goes on with at the next call.
        """
        if self._proposed is None:
            self._proposed = self._propose()
        if (proposal := self._proposed) is None:
            return None
        assignment, further = proposal.assignment, proposal.seed is not None
        if self._begun is None:
            self._begun = self.followers.begin(
                assignment, lambda number: self._attributes(number, assignment) | proposal.attributes(), further
            )
        number = self._begun
        self._add(number, assignment, proposal.seed)
        self._begun = self._proposed = None
        if further:
            self.further.add(number)
            self._due.add(number)
        else:
            self.followers.proposer.begun(number, assignment)
            self._tally.begin(number)
        return number

    def _attributes(self, number: int, assignment: Assignment) -> dict[str, object]:
        combination, _ = resolve(self.space, assignment, self.scale, self.data.n_train)
        folder = f"{self.record.work_dir}/{self.record.name}/{number}"
        return {"combination": combination.digest(), "folder": folder}

    def _add(self, number: int, assignment: Assignment, other_seed: int | None = None) -> None:
        """Gives a trial its row; last, for a trial without one is adopted again after a crash."""
        combination, proposed = resolve(self.space, assignment, self.scale, self.data.n_train)
        seed = proposed if other_seed is None else other_seed
        self.store.add_trial(
            self.record.name, number, combination=combination.digest(),
            parts=combination.model_dump(mode="json"), params=combination.flat_params(),
            optuna_params=assignment, seed=seed, epochs=combination.settings["epochs"], owner="",
            data_hash=self.data.hash,
        )  # fmt: skip

    def _limit(self) -> str | None:
        """Which limit of the budget is reached, for people; None while all allow another trial."""
        budget, tally = self.space.budget, self._tally
        if budget.trials is not None and tally.begun >= budget.trials:
            return f"budget.trials {budget.trials} is spent"
        if budget.gpu_hours is not None and tally.seconds >= 3600 * budget.gpu_hours:
            return f"budget.gpu_hours {budget.gpu_hours:g} is spent"
        if budget.hours is not None and tally.elapsed >= timedelta(hours=budget.hours):
            return f"budget.hours {budget.hours:g} have passed"
        return None

    def _enough(self) -> str | None:
        """Why no further combination is needed, for people; None while one is."""
        budget = self.space.budget
        if budget.until is not None and (best := self._tally.best()) >= budget.until:
            return f"{self.record.objective} {best:.4f} has reached budget.until {budget.until:g}"
        if budget.patience is None:
            return None
        found = self._tally.stagnation(budget.gain)
        if found.combinations < budget.patience:
            return None
        what = f" above {found.gain:.4g}" if found.gain else ""
        why = ", the noise between seeds" if found.learnt and found.gain else ""
        number = "one combination" if found.combinations == 1 else f"{found.combinations} combinations"
        return f"no gain{what}{why} in {number} (budget.patience {budget.patience})"

    def more_to_try(self) -> bool:
        """Whether `ask` would give a trial."""
        if self._ordered is not None:
            return self._proposed is not None or bool(self._ordered)
        return self._proposed is not None or self.end() is None

    def end(self) -> str | None:
        """Why no new trial begins, for people; None while one would."""
        if self.followers.proposer.exhausted:
            return "everything was tried"
        return self._limit() or (None if self.followers.proposer.repeats else self._enough())

    def trials_left(self) -> int | None:
        """How many trials may still begin; None if only time or a score limits them."""
        if self._ordered is not None:
            return len(self._ordered)
        if not self.more_to_try():
            return 0
        limits = [n for n in (self.space.budget.trials, self.followers.proposer.most) if n is not None]
        return max(0, min(limits) - self._tally.begun) if limits else None

    def lease(self, number: int, fence: int, worker: str, owner: str, device: str) -> Lease:
        """Stores that a worker has the trial and builds what it needs to train it."""
        name = self.record.name
        row = self.store.lease(name, number, fence=fence, worker=worker, owner=owner, device=device)
        epochs = self.store.epochs(name, number)
        self._epochs[number] = row.epochs
        for epoch in epochs:
            self._tally.report(number, epoch.epoch, epoch.seconds)
        if number not in self.further:
            self._tally.train(number)
        hours = self.space.budget.trial_hours
        return Lease(
            study=name,
            trial=number,
            fence=fence,
            combination=Combination.model_validate(row.trained),
            seed=row.seed,
            scale=self.scale,
            data=self.data,
            objective=self.space.objective,
            detections=self.record.detections,
            work_dir=self.record.work_dir,
            plugins=self.space.plugins,
            images=self.space.pruner.kind == "wilcoxon",
            reported=tuple(EpochReport(epoch=e.epoch, metrics=e.metrics, seconds=e.seconds) for e in epochs),
            limit_seconds=None if hours is None else 3600 * hours - sum(e.seconds for e in epochs),
        )

    def report(self, number: int, report: EpochReport) -> bool:
        """Stores one validation; True if the trial should be pruned."""
        score = report.metrics.get(self.record.objective)
        epoch = EpochRecord(report.epoch, score, dict(report.metrics), report.seconds)
        self.store.add_epoch(self.record.name, number, epoch)
        self._tally.report(number, report.epoch, report.seconds)
        if score is None or not math.isfinite(score):
            return False
        images = each_image(report.evidence, self.record.objective) if report.evidence else None
        prune = self.followers.report(number, report.epoch, score, images)
        if number in self.further:  # it was ordered to be seen to its end
            return False
        return prune and report.epoch < self._planned(number)  # after its last epoch there is nothing left to save

    def batch(self, number: int) -> tuple[int, int]:
        """Batch size and accumulation that the trial runs with now."""
        row = self.store.trial(self.record.name, number)
        if row is None:  # somebody made the number up; the lease machine refuses it
            return 1, 1
        settings = row.trained["settings"]
        return int(settings.get("batch_size", 1)), int(settings.get("accumulate", 1))

    def release(self, number: int, failure: str = "lost_worker", reason: str | None = None) -> None:
        """Stores that the trial waits again, and why."""
        self.store.release(self.record.name, number, failure, reason)
        self._tally.rest(number)

    def restart(self, number: int, batch_size: int, accumulate: int) -> None:
        """Stores that the trial begins anew with these settings."""
        self.store.restart(self.record.name, number, {"batch_size": batch_size, "accumulate": accumulate})
        self._tally.rest(number)
        self.followers.restarted(number)

    def finish(self, number: int, result: Result, failure: str | None = None) -> None:
        """Stores how the trial ended, then tells the study; a trial that has ended stays as it is."""
        row = self.row(number)
        state, reason = result.outcome, result.reason
        if state == "complete" and (missing := self._missing(row, result)):
            state, reason = "failed", f"no validation gave {missing}"
        seconds = result.seconds
        if seconds is None:  # it ended badly; what it took counts all the same
            seconds = sum(epoch.seconds for epoch in self.store.epochs(self.record.name, number))
        if result.evidence and state == "complete":
            keep_evidence(self.store, self.record.name, number, result.evidence)
        self.before_end(number)  # Optuna's tables take nothing more about a trial that has ended
        self.store.finish(
            self.record.name, number, state=state, failure=failure, reason=reason, parameters=result.parameters,
            peak_memory_mb=result.peak_memory_mb, seconds=seconds, seconds_per_image=result.seconds_per_image,
            versions=result.versions, config=result.config,
        )  # fmt: skip
        row = self.row(number)
        self._tally.rest(number)
        if number not in self.further:
            self._tally.ended(row)
        self._epochs.pop(number, None)
        self._due.discard(number)
        self._end_order()
        self.followers.ended(row)

    def _missing(self, row: TrialRecord, result: Result) -> str | None:
        """The goal of which a complete trial has no figure."""
        goal = self.space.objective.against
        if row.score is None:
            return self.record.objective
        return goal if goal is not None and cost(result, goal) is None else None

    def retry(self, number: int) -> TrialRecord:
        """Lets a trial that has ended without a score wait again; see `results.trials.TrialStore.retry`.

        In Optuna's tables an end is final: another trial stands for it there from now on (its attribute `retry_of`
        says so). It is the same trial for the budget, the ranking and people.

        Raises:
            UserError: it has not ended, or is complete.
        """
        row = self.row(number)
        if row.state not in FINAL:
            raise UserError(f"trial {number} of study {self.record.name} has not ended: it is {row.state}")
        if row.state == "complete":
            raise UserError(f"trial {number} of study {self.record.name} is complete: there is nothing to try again")
        stands_in = self.followers.begin_again(row, lambda number: self._attributes(number, row.optuna_params))
        self.store.retry(self.record.name, number, stands_in)
        self.followers.stands_in(row, stands_in)
        if number not in self.further:
            self._tally.again(number)
        if self.ordered and number in self.further:
            self._due.add(number)
        return self.row(number)

    def set_state(self, state: StudyState, reason: str | None = None) -> None:
        """Stores how the study stands, and why."""
        self.store.set_state(self.record.name, state, reason)

    def row(self, number: int) -> TrialRecord:
        """The trial as the store holds it; the study must have it."""
        row = self.store.trial(self.record.name, number)
        assert row is not None
        return row

    def _planned(self, number: int) -> int:
        if number not in self._epochs:
            self._epochs[number] = self.row(number).epochs
        return self._epochs[number]
