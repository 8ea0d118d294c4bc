"""Where workers run: the GPUs of this machine, or a Ray cluster."""

from __future__ import annotations

from typing import Protocol


class Pool(Protocol):
    """Workers of a study server, started and watched by one process."""

    def tend(self) -> None:
        """Starts dead workers again; to be called about once a second."""

    def stop(self, polite: bool = True) -> None:
        """Ends all workers; politely, they hand their trials back first."""

    @property
    def alive(self) -> bool:
        """Whether any worker still works."""

    @property
    def faulty(self) -> bool:
        """Whether a worker gave up because of its machine."""

    @property
    def faults(self) -> list[str]:
        """Why workers gave up, one line each."""
