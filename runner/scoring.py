"""Scores a checkpoint on images that no trial saw, in a process of its own. Imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.data.guard import fingerprint
from runner.errors import UserError
from runner.protocol import Holdout, Lease, Message

CHILD = "runner.training.scoring"


class Order(Message):
    """What to score.

    Attributes:
        lease: what was trained; its config is rendered anew.
        config: text of the config that was trained; it is compared, never run.
        threads: CPU threads that it was trained with; None for as many as torch takes.
        checkpoint: of the epoch that has the trial's score, a file.
        holdout: the images; what lies on disk must be what the study began with.
    """

    lease: Lease
    config: str
    threads: int | None
    checkpoint: str
    holdout: Holdout


class Scored(Message):
    """Every figure by its name, and what each image contributed (`runner.training.evidence`) as base64."""

    metrics: dict[str, float | None]
    evidence: str | None = None


def check(holdout: Holdout) -> None:
    """Checks that the images held out are here, and are those that the study began with.

    Raises:
        UserError: they are not; the line says which file.
    """
    if fingerprint(Path(holdout.images), Path(holdout.annotations)) != holdout.check:
        raise UserError(
            f"the held-out images changed since the study began ({holdout.images}, {holdout.annotations}); "
            "put the old ones back: a score on others says nothing about what was promised"
        )


def score(order: Order, folder: Path, environment: Mapping[str, str] | None = None) -> Scored:
    """Runs the model over the images and evaluates it as a validation is.

    Args:
        order: what to score.
        folder: takes the order, the figures and ``score.log``; made when needed.
        environment: variables of the process besides ours, such as CUDA_VISIBLE_DEVICES.

    Raises:
        UserError: the images are others, or the process failed; the line has its last words.
    """
    check(order.holdout)
    folder.mkdir(parents=True, exist_ok=True)
    asked, answer, log = folder / "order.json", folder / "scored.json", folder / "score.log"
    answer.unlink(missing_ok=True)
    asked.write_text(order.model_dump_json(), encoding="utf-8")
    command: list[Any] = [sys.executable, "-m", CHILD, asked, answer, os.getpid()]
    with log.open("wb") as stream:
        done = subprocess.run(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **(environment or {})},
        )  # fmt: skip
    if done.returncode or not answer.is_file():
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
        last = next((line for line in reversed(lines) if line), f"exit code {done.returncode}")
        raise UserError(f"{order.checkpoint} could not be scored on the held-out images: {last} (all of it: {log})")
    return Scored.model_validate_json(answer.read_text(encoding="utf-8"))
