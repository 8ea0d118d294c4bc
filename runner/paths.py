"""The one owner of every file name below a trial's folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.errors import UserError


@dataclass(frozen=True)
class TrialPaths:
    """Files of one trial, below ``work_dirs/STUDY/TRIAL/``."""

    folder: Path

    @classmethod
    def of(cls, work_dir: str | Path, study: str, trial: int) -> TrialPaths:
        """The folder of a trial of a study."""
        return cls(Path(work_dir) / study / str(trial))

    @property
    def config(self) -> Path:
        """The complete MMDetection config that was trained."""
        return self.folder / "config.py"

    @property
    def last(self) -> Path:
        """Checkpoint of the last validated epoch: resume starts here."""
        return self.folder / "last.pth"

    @property
    def best(self) -> Path:
        """Checkpoint of the best epoch (kept where the objective asks for it)."""
        return self.folder / "best.pth"

    @property
    def weights(self) -> Path:
        """What the training started from, as far as weights were loaded (`runner.training.pretrained.Start`)."""
        return self.folder / "pretrained.json"

    @property
    def log(self) -> Path:
        """All that the trainer printed."""
        return self.folder / "train.log"

    @property
    def predictions(self) -> Path:
        """What the model found in some validation images, drawn beside the labels."""
        return self.folder / "predictions.png"

    @property
    def lock(self) -> Path:
        """Held by the one trainer that may write here."""
        return self.folder / ".lock"


def replace_with(target: Path, content: str | bytes) -> None:
    """Writes a file (text as UTF-8), and its folder, so that a reader finds the old one or the new one, never half."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        temporary.chmod(0o644)  # mkstemp gives 0600, but a team shares these folders
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def cached(folder: Path) -> Iterator[None]:
    """Makes a folder of the user's cache, for what the block writes into it.

    Raises:
        UserError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UserError(f"{folder} cannot be written: {why}; XDG_CACHE_HOME names another cache folder") from error
