"""Random numbers that come from (seed, epoch, worker) alone, so that an epoch resumed is the epoch undisturbed."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS
from mmengine.runner import Runner


def epoch_seed(seed: int, epoch: int) -> int:
    """32 bits from the trial's seed and the epoch; no two epochs of a trial share one."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


@HOOKS.register_module()
class ReproducibleHook(Hook):
    """Seeds every generator before each epoch and fixes torch's CPU threads.

    mmengine's checkpoints hold no random state, so a resumed run would draw other numbers than the undisturbed
    one; and with worker processes it seeds each epoch's loaders alike, which replays one augmentation stream.
    A loader's base seed is drawn from torch's generator when an epoch begins, hence follows from ours.
    Digits depend on the number of threads (sums are split between them), so that is part of the config.

    Args:
        seed: of the trial.
        threads: CPU threads of torch; None leaves them.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int, threads: int | None = None) -> None:
        self.seed = seed
        if threads:
            torch.set_num_threads(threads)

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds Python's, NumPy's and torch's generators (on every device)."""
        value = epoch_seed(self.seed, runner.epoch)
        random.seed(value)
        np.random.seed(value)
        torch.manual_seed(value)


@FUNCTIONS.register_module()
def keep_torch_seeds(worker_id: int) -> None:
    """Leaves a loader worker the seeds torch gave it: base seed of the epoch + worker, for random, numpy and torch.

    Takes the place of mmengine's own, which seeds each epoch alike. Source: torch/utils/data/_utils/worker.py.
    """
