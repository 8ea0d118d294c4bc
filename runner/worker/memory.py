"""A training's memory on its GPU: how much it took, and whether the card has it back."""

from __future__ import annotations

import time

from runner.pool.gpus import GIVE_BACK_SECONDS, Card, given_back

_LOOK_SECONDS = 0.25


class Memory:
    """Watches one card over one training.

    Args:
        card: None where nothing can be read (no GPU, or a part of one).
        alone: whether no other trial of ours shares the card.

    Attributes:
        peak_mb: the most that was taken more than before it, MiB; None while unknown, or if others share the card.
    """

    def __init__(self, card: Card | None, alone: bool) -> None:
        self._card, self._alone = card, alone
        now = card.read() if card else None
        self._before = now.used_mb if now else 0.0
        self._seen = False
        self.peak_mb: float | None = None

    def look(self, pid: int | None) -> None:
        """Takes a reading while process `pid` trains; the caching allocator keeps what it took, so a few will do."""
        now = self._card.read() if self._card else None
        if now is None:
            return
        self._seen = self._seen or pid in now.holders
        if self._alone:
            self.peak_mb = max(self.peak_mb or 0.0, now.used_mb - self._before)

    def returned(self, pid: int | None, seconds: float = GIVE_BACK_SECONDS) -> str | None:
        """Waits until the card has its memory back; what is wrong if it has not, in one line."""
        if self._card is None:
            return None
        deadline = time.monotonic() + seconds
        while (now := self._card.read()) is not None:
            held = pid in now.holders
            if given_back(self._seen, held, now.used_mb, self._before, self._alone):
                return None
            if time.monotonic() > deadline:
                gpu = self._card.gpu
                return (
                    f"GPU {gpu.index} ({gpu.name}): {now.used_mb - self._before:,.0f} MiB are still taken "
                    f"{seconds:.0f} s after the training that took them ended; see nvidia-smi"
                )
            time.sleep(_LOOK_SECONDS)
        return None  # the driver is gone: the next training says so
