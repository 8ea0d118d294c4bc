"""Stops a training that is worse than the best one, image by image, after the same number of epochs.

Optuna's `WilcoxonPruner` is for scores over instances, and wants one value for each. Validation images are the
instances: at each epoch the trial's score on every image is paired with that of the best complete trial of its group at
the same epoch, and the trial is stopped if Wilcoxon's signed-rank test (1945, Biometrics Bulletin 1:80) says that it is
worse. To pair epochs instead would be to test a curve whose points depend on each other.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeps.space.schema import SearchSpace
from sweeps.study.pruning import Images, Mark

IMAGES = "images"  # what Optuna's tables keep of the best trial


class Wilcoxon:
    """Asks Optuna's pruner, with what `Pruning` has in common with it.

    Args:
        space: names the pruner.
        trials: of the study so far.
        groups: of the trials, as far as they have any.
        mark: keeps what is remembered about a trial.
    """

    def __init__(
        self, space: SearchSpace, trials: Iterable[FrozenTrial], groups: Mapping[int, str], mark: Mark
    ) -> None:
        options = space.pruner.options
        self._warmup, self._mark = options["warmup_epochs"], mark
        with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
            self._pruner = optuna.pruners.WilcoxonPruner(p_threshold=options["p_threshold"])
        self._groups: dict[int, str] = {}
        self._seen: dict[int, dict[int, Images]] = {}  # of running trials, by epoch
        self._best: dict[str, tuple[float, Mapping[int, Images]]] = {}  # of each group, with its score
        for trial in trials:
            if trial.number in groups:
                self.begun(trial.number, groups[trial.number])
                kept = trial.system_attrs.get(IMAGES) or {}
                self._seen[trial.number] = {
                    int(epoch): {int(image): found for image, found in images.items()} for epoch, images in kept.items()
                }
                if trial.state == TrialState.COMPLETE:
                    self._compare(trial.number, trial.value)

    def begun(self, number: int, group: str) -> None:
        """The study's trial `number` runs now."""
        self._groups[number] = group
        self._seen.setdefault(number, {})

    def report(self, number: int, epoch: int, score: float, images: Images | None = None) -> bool:
        """Takes the validation of an epoch; whether the trial should be stopped."""
        if number not in self._groups or not images:
            return False
        self._seen[number][epoch] = images
        _, best = self._best.get(self._groups[number], (0.0, {}))
        return epoch > self._warmup and epoch in best and self._worse(images, best[epoch])

    def restarted(self, number: int) -> None:
        """The trial starts from scratch."""
        self._seen[number] = {}

    def ended(self, number: int, state: TrialState, score: float | None) -> None:
        """The trial has ended; what the best of a group had is kept. Told again if that could not be."""
        if number not in self._groups or number not in self._seen:
            return
        seen = self._seen[number]
        if state == TrialState.COMPLETE and seen:
            self._compare(number, score)
            if self._best.get(self._groups[number], (0.0, {}))[1] is seen:
                self._mark(number, IMAGES, {epoch: _rounded(images) for epoch, images in seen.items()})
        self._seen.pop(number)

    def _compare(self, number: int, score: float | None) -> None:
        """Keeps the best trial of a group that told of its images."""
        group, seen = self._groups[number], self._seen[number]
        if seen and score is not None and (group not in self._best or score > self._best[group][0]):
            self._best[group] = score, seen

    def _worse(self, images: Images, best: Images) -> bool:
        study = optuna.create_study(direction="maximize")
        mean = sum(best.values()) / len(best)
        study.add_trial(optuna.create_trial(state=TrialState.COMPLETE, value=mean, intermediate_values=dict(best)))
        trial = optuna.create_trial(state=TrialState.RUNNING, intermediate_values=dict(images))
        return self._pruner.prune(study, trial)


def _rounded(images: Images) -> Images:
    return {image: round(score, 4) for image, score in images.items()}
