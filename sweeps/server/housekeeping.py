"""Checkpoints fill disks: those that no rule keeps are deleted as trials end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from results.artifacts import ArtifactRecord, TrialArtifact
from results.ranking.confirmation import Order, leader
from results.ranking.ranking import ranked
from results.ranking.standings import stand
from results.records import FINAL, TrialRecord
from runner.paths import TrialPaths
from runner.wire.transfer import CHECKPOINTS
from sweeps.artifacts import Artifacts
from sweeps.artifacts.keep import Leading, Spared, decide
from sweeps.leases.coordinator import Coordinator
from sweeps.server.registry import Registry
from sweeps.study.study import Study

_LOOK_SECONDS = 5.0


class Housekeeper:
    """Applies the rules of `sweeps.artifacts.keep` to the studies of a registry.

    They hold for what workers sent to the artifact store, and for what those of this machine wrote in the studies'
    folders: the best complete trials' checkpoints stay (`keep` of the space), one of the combination that is named the
    best among them, and those of trials that have not ended.

    Args:
        registry: has the studies.
        artifacts: the artifact store; None where nothing is sent.
        clock: seconds, monotonic.
    """

    def __init__(
        self, registry: Registry, artifacts: Artifacts | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry, self._artifacts, self._clock = registry, artifacts, clock
        self._looked = clock()
        self._known: dict[str, tuple[int, int]] = {}
        self._leading: dict[str, list[tuple[int, ...]]] = {}
        self._spared: dict[str, set[int]] = {}

    def tick(self) -> str | None:
        """Looks every few seconds whether trials have ended; a line for people where the disk budget does not do."""
        if self._clock() < self._looked + _LOOK_SECONDS:
            return None
        line = self.tidy()
        self._looked = self._clock()
        return line

    def tidy(self) -> str | None:
        """Deletes what no rule keeps, in studies where a trial has ended since the last time, or was looked at."""
        studies = self._registry.studies()
        known = {study.name: (_ended(study), study.looks) for study in studies}
        changed = [study for study in studies if known[study.name] != self._known.get(study.name)]
        for study in changed:
            trials = study.study.store.trials(study.name)
            confirmation = study.record().confirmation
            self._leading[study.name] = _leading(trials, confirmation)
            self._spared[study.name] = _spared(study.study, trials, confirmation)
            _tidy_folder(study.study, trials, self._leading, self._spared)
        line = None
        if changed and self._artifacts:
            self._artifacts.limits.best = {study.name: study.study.space.keep for study in studies}
            self._artifacts.limits.leading, self._artifacts.limits.spared = self._leading, self._spared
            line = self._artifacts.tidy().line
        self._known = known  # last: what failed is done the next time
        return line


def _ended(study: Coordinator) -> int:
    """How many trials have ended."""
    counts = study.study.store.counts(study.name)
    return sum(counts[state] for state in FINAL)


def _leading(trials: Sequence[TrialRecord], confirmation: Mapping[str, Any] | None) -> list[tuple[int, ...]]:
    """The trials of the combination that is named the best, and of the best of those with the most seeds.

    The mean of one with fewer may fall with its next, and the other then is the best: it must have kept a checkpoint.
    """
    standings = stand(trials).standings
    most = max((one.seeds for one in standings), default=0)
    settled = next((one for one in standings if one.seeds == most), None)
    return [one.trials for one in (leader(trials, confirmation), settled) if one]


def _spared(study: Study, trials: Sequence[TrialRecord], confirmation: Mapping[str, Any] | None) -> set[int]:
    """Trials that a confirmation trains, or that may have to be scored on the images held out."""
    spared = set(study.further) if study.ordered else set()
    return spared | _for_the_holdout(study, trials, confirmation) if study.data.holdout else spared


def _tidy_folder(study: Study, trials: Sequence[TrialRecord], leading: Leading, spared: Spared) -> None:
    """The same for checkpoints in the study's own folder."""
    name = study.record.name
    held: list[TrialArtifact] = []
    for trial in trials:
        folder = TrialPaths.of(study.record.work_dir, name, trial.number).folder
        for file in CHECKPOINTS:
            if found := _record(name, trial.number, folder / file):
                held.append(TrialArtifact(found, trial.state, trial.score, trial.failure))
    for artifact in decide(held, {name: study.space.keep}, leading=leading, spared=spared).delete:
        Path(artifact.artifact_id).unlink(missing_ok=True)


def _for_the_holdout(study: Study, trials: Sequence[TrialRecord], confirmation: Mapping[str, Any] | None) -> set[int]:
    """Trials that may have to be scored on the images held out: all seeds of the best and of the baseline.

    A combination of which only the best seeds are left would be judged too kindly.
    """
    best = [*stand(trials).standings[:1], leader(trials, confirmation)]
    names = {one.combination for one in best if one}
    names |= {one.combination for one in [next(filter(ranked, trials), None)] if one}
    names |= {Order.read(confirmation).baseline} if confirmation else set()
    seen = study.store.holdout(study.record.name)
    return {one.number for one in trials if one.combination in names and one.number not in seen}


def _record(study: str, trial: int, path: Path) -> ArtifactRecord | None:
    try:
        status = path.stat()
    except OSError:
        return None
    moment = datetime.fromtimestamp(status.st_mtime, UTC)
    return ArtifactRecord(study, trial, path.name, status.st_size, "", str(path), moment)
