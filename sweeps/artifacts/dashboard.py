"""Pictures of a trial, shown on its page by optuna-dashboard."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict

from optuna.artifacts import ArtifactMeta
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage

from results.artifacts import ArtifactRecord
from results.database.outage import insist
from results.reader import Reader
from runner.wire.transfer import is_picture

_PREFIX = "artifacts:"  # of optuna.artifacts: such attributes of a trial name its artifacts


class Pictures:
    """Tells Optuna of every new picture; give it to `Artifacts` as ``kept``, and its backend to the dashboard.

    Args:
        storage: of the studies.
        store: knows which trial of ours is which of Optuna's.
    """

    def __init__(self, storage: BaseStorage, store: Reader) -> None:
        self._storage, self._store = storage, store

    def __call__(self, new: ArtifactRecord, old: ArtifactRecord | None) -> None:
        """Shows a picture instead of the one it replaced. One that comes after the trial's end is not shown."""
        trial = self._store.trial(new.study, new.trial) if new.trial is not None else None
        if trial is None or not is_picture(new.name):
            return
        number = trial.number if trial.optuna_number is None else trial.optuna_number
        with self._store.guard():
            insist(self._store.patience, lambda: self._show(number, new, old))

    def _show(self, number: int, new: ArtifactRecord, old: ArtifactRecord | None) -> None:
        with contextlib.suppress(UpdateFinishedTrialError, KeyError):
            study = self._storage.get_study_id_from_name(new.study)
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(study, number)
            meta = ArtifactMeta(artifact_id=new.artifact_id, filename=new.name, mimetype="image/png", encoding=None)
            self._storage.set_trial_system_attr(trial_id, _PREFIX + new.artifact_id, json.dumps(asdict(meta)))
            if old is not None:  # as the dashboard itself forgets one
                self._storage.set_trial_system_attr(trial_id, _PREFIX + old.artifact_id, json.dumps(None))
