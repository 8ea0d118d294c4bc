"""What is changed in one trial of Optuna's tables, in Optuna's own models and without a commit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.storages._rdb import models
from optuna.trial import TrialState


@dataclass(frozen=True)
class Change:
    """A change of one trial.

    Attributes:
        attributes: the user's ones to set; None leaves one out.
        scores: to set, by epoch.
        state: its end, None if it goes on.
        values: of its end, one for each goal.
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[int, float] = field(default_factory=dict)
    state: TrialState | None = None
    values: Sequence[float] = ()

    def apply(self, session: Any, trial: Any) -> None:
        """Writes it, in place of what is there.

        Args:
            session: of sqlalchemy.
            trial: the row, one that has not ended.
        """
        if given := {key: value for key, value in self.attributes.items() if value is not None}:
            kind = models.TrialUserAttributeModel
            session.query(kind).filter(kind.trial_id == trial.trial_id, kind.key.in_(given)).delete()
            session.add_all(
                kind(trial_id=trial.trial_id, key=key, value_json=json.dumps(value)) for key, value in given.items()
            )
        if self.scores:
            self._apply_scores(session, trial.trial_id)
        if self.state is not None:
            for goal, value in enumerate(self.values):
                stored, shape = models.TrialValueModel.value_to_stored_repr(value)
                session.add(
                    models.TrialValueModel(trial_id=trial.trial_id, objective=goal, value=stored, value_type=shape)
                )
            trial.state = self.state
            trial.datetime_complete = datetime.now()

    def _apply_scores(self, session: Any, trial: int) -> None:
        kind = models.TrialIntermediateValueModel
        session.query(kind).filter(kind.trial_id == trial, kind.step.in_(self.scores)).delete()
        for epoch, score in self.scores.items():
            stored, shape = kind.intermediate_value_to_stored_repr(score)
            session.add(kind(trial_id=trial, step=epoch, intermediate_value=stored, intermediate_value_type=shape))
