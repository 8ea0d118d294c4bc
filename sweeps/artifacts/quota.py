"""How much artifacts may take, and making room by the rules of `sweeps.artifacts.keep`."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from results.artifacts import ArtifactIndex
from sweeps.artifacts.backends import Backend
from sweeps.artifacts.errors import BackendError, NoRoomError
from sweeps.artifacts.keep import Decision, Leading, Spared, decide, shown


@dataclass
class Limits:
    """What is kept.

    Attributes:
        budget: bytes that artifacts and uploads under way may take together; None for no limit.
        best: study -> how many of its best trials keep their checkpoints, where it is not `keep.BEST`.
        leading: study -> its leading combinations.
        spared: study -> trials that are still to be scored on images held out.
    """

    budget: int | None = None
    best: Mapping[str, int] = field(default_factory=dict)
    leading: Leading = field(default_factory=dict)
    spared: Spared = field(default_factory=dict)


class Quota:
    """Deletes by the rules; what was forgotten goes from the artifact store as well.

    Args:
        index: of artifacts.
        backend: where they lie.
        limits: how much may stay.
    """

    def __init__(self, index: ArtifactIndex, backend: Backend, limits: Limits) -> None:
        self._index, self._backend, self._limits = index, backend, limits

    def tidy(self, coming: int = 0) -> Decision:
        """Applies the rules, with so many bytes for uploads under way."""
        decision = self._decide(coming)
        self._index.drop(decision.delete)
        return decision

    def make(self, size: int, coming: int, spool: Path) -> None:
        """Makes room for a file of `size` bytes, beside others of `coming` bytes.

        Raises:
            NoRoomError: it would not fit even if all went that may go; then nothing goes.
        """
        free = shutil.disk_usage(spool).free
        if size > free:
            raise NoRoomError(f"the server's disk has {shown(free)} left for {shown(size)}: make room there")
        budget = self._limits.budget
        if budget is not None and self._index.total() + coming + size > budget:
            decision = self._decide(coming + size)
            if decision.line:
                raise NoRoomError(decision.line)
            self._index.drop(decision.delete)

    def _decide(self, coming: int) -> Decision:
        held, limits = self._index.held(), self._limits
        if limits.budget is None:
            return decide(held, limits.best, leading=limits.leading, spared=limits.spared)
        labels = self._index.total() - sum(one.artifact.size for one in held)
        return decide(held, limits.best, limits.budget, labels + coming, limits.leading, limits.spared)

    def remove_loose(self, needed: Collection[str]) -> None:
        """Deletes from the artifact store what no artifact needs, save what is being written just now."""
        gone = []
        with contextlib.suppress(BackendError):  # the ids are kept: the next time will do
            for artifact_id in self._index.loose():
                if artifact_id not in needed:
                    self._backend.remove(artifact_id)
                    gone.append(artifact_id)
        if gone:
            self._index.gone(gone)
