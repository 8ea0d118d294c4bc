"""The GPUs of this machine as NVML shows them, and what is decided from its figures."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pynvml

SHARE = 0.9  # of a card's memory that trials may fill: the driver and fragments take the rest
SLACK_MB = 64.0  # MiB that may differ from before without a training being the cause
GIVE_BACK_SECONDS = 30.0
_MB = 2**20


@dataclass(frozen=True)
class Gpu:
    """One card.

    Attributes:
        index: NVML's, which is PCI order.
        uuid: ``GPU-...``, the same in every container and after every start of the machine.
        memory_mb: MiB in all.
    """

    index: int
    uuid: str
    name: str
    memory_mb: float


# decisions


def auto_slots(memory_mb: float, peak_mb: float, cores: int, gpus: int) -> int:
    """How many trials fit on each card, by the largest peak seen so far; at least one, and a CPU core for each.

    Args:
        memory_mb: of the card, MiB in all.
        peak_mb: MiB that one training took at most.
        cores: CPU cores of the machine.
        gpus: cards that share them.
    """
    fit = math.floor(memory_mb * SHARE / peak_mb) if peak_mb > 0 else 1
    return max(1, min(fit, cores // max(1, gpus)))


def given_back(seen: bool, held: bool, used_mb: float, before_mb: float, alone: bool) -> bool:
    """Whether a card has the memory back that a training took.

    Args:
        seen: whether NVML named the training's process while it ran (in a container it may name none, or the host's
            numbers; then only the sum is to be had).
        held: whether it names it still.
        used_mb, before_mb: MiB taken on the card now, and before the training began.
        alone: whether no other trial of ours shares the card, so that the sum says something.
    """
    if seen:
        return not held
    return not alone or used_mb <= before_mb + SLACK_MB


def choose(found: Sequence[Gpu], names: Sequence[str]) -> list[tuple[str, Gpu | None]]:
    """The cards that CUDA_VISIBLE_DEVICES names, in its words: an index, a UUID or the beginning of one.

    As CUDA does, what follows a name that fits no card is left out. A part of a card (MIG) is no card of NVML's: None.
    """
    chosen: list[tuple[str, Gpu | None]] = []
    for name in names:
        if name.startswith("MIG-"):
            chosen.append((name, None))
            continue
        fits = [gpu for gpu in found if name == str(gpu.index) or (len(name) > 4 and gpu.uuid.startswith(name))]
        if len(fits) != 1:
            break
        chosen.append((name, fits[0]))
    return chosen


# readings


@contextlib.contextmanager
def _nvml() -> Iterator[bool]:
    """NVML, started for the moment; False where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def found() -> list[Gpu]:
    """All cards that NVML shows, in PCI order; none without a driver."""
    with _nvml() as there:
        if not there:
            return []
        cards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [
            Gpu(
                index,
                str(pynvml.nvmlDeviceGetUUID(card)),
                str(pynvml.nvmlDeviceGetName(card)),
                pynvml.nvmlDeviceGetMemoryInfo(card).total / _MB,
            )
            for index, card in enumerate(cards)
        ]


@dataclass
class Reading:
    """A card at one moment: MiB taken, and the processes that NVML names on it."""

    used_mb: float
    holders: Collection[int]


class Card:
    """Reads one card. What NVML does not know, or no longer, is None."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu

    def read(self) -> Reading | None:
        """The card now."""
        with _nvml() as there:
            if not there:
                return None
            try:
                card = pynvml.nvmlDeviceGetHandleByUUID(self.gpu.uuid)
                return Reading(pynvml.nvmlDeviceGetMemoryInfo(card).used / _MB, _holders(card))
            except pynvml.NVMLError:
                return None


def _holders(card: Any) -> list[int]:
    try:
        return [int(process.pid) for process in pynvml.nvmlDeviceGetComputeRunningProcesses(card)]
    except pynvml.NVMLError:  # not supported: some virtual cards
        return []


def own_card() -> Card | None:
    """The GPU that CUDA_VISIBLE_DEVICES leaves to this process, None where NVML shows none."""
    chosen = choose(found(), os.environ.get("CUDA_VISIBLE_DEVICES", "").split(","))
    return Card(chosen[0][1]) if chosen and chosen[0][1] else None
