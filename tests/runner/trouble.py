"""A plugin that makes trouble: an augmentation that fails in the way it is told to, an optimizer that ruins weights."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine.registry import OPTIMIZERS

from runner.catalog import Augmentation, Entry, Parameter, add

KINDS = ("huge", "limit", "grow", "bug", "key", "full", "kill", "sleep")


@TRANSFORMS.register_module()
class Trouble(BaseTransform):  # type: ignore[misc]
    """Lets `after` images pass in each process, then does it; `once`: a file that says it was done."""

    def __init__(self, kind: str, after: int, once: str) -> None:
        self.kind, self.after, self.once = kind, after, Path(once) if once else None
        self.passed = 0

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        self.passed += 1
        if self.passed <= self.after:
            return results
        if self.once:
            try:
                self.once.touch(exist_ok=False)
            except FileExistsError:
                return results
        getattr(self, self.kind)(results)
        return results

    def huge(self, _: object) -> None:
        """More than any machine has, in one piece."""
        torch.empty(2**50)

    def limit(self, _: object) -> None:
        """Real memory up to a real limit of the process."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + 512 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        self.grow(None)

    def grow(self, _: object) -> None:
        """Takes memory piece by piece, and writes to it."""
        kept = []
        while True:
            kept.append(np.ones(2**22))  # 32 MiB

    def bug(self, results: dict[str, Any]) -> None:
        results["img"].rotate(90)

    def key(self, results: dict[str, Any]) -> None:
        results["colour"]

    def full(self, _: object) -> None:
        """As a full disk does."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def kill(self, _: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self, _: object) -> None:
        time.sleep(3600)


add(
    Augmentation(
        "trouble",
        "trouble",
        "trouble.py",
        parameters={
            "kind": Parameter("str", "bug", choices=KINDS),
            "after": Parameter("int", 0, 0),
            "once": Parameter("str", ""),
        },
        transforms=({"type": "Trouble", "kind": "$kind", "after": "$after", "once": "$once"},),
        strength=0.1,
    )
)


@OPTIMIZERS.register_module()
class Ruin(torch.optim.Optimizer):
    """Makes every weight NaN at its first step."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weights in group["params"]:
                weights.fill_(float("nan"))


add(Entry("Ruin", "Ruin", "trouble.py", {"lr": Parameter("float", 0.1, 0, 1)}), part="optimizer")
