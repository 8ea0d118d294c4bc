"""The GPUs of this machine as NVML shows them, and what is decided from its figures."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pynvml

from runner.errors import UserError

SHARE = 0.9  # of a card's memory that trials may fill: the driver and fragments take the rest
SLACK_MB = 64.0  # MiB that may differ from before without a training being the cause
GIVE_BACK_SECONDS = 30.0
_MB = 2**20
_NONE = ("", "-1", "NoDevFiles")  # in CUDA_VISIBLE_DEVICES: no card


@dataclass(frozen=True)
class Gpu:
    """One card.

    Attributes:
        index: NVML's, which is PCI order.
        uuid: ``GPU-...``, the same in every container and after every start of the machine.
        memory_mb: MiB in all; 0 where NVML does not say.
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


def allowed(found: Sequence[Gpu], visible: str | None) -> list[str]:
    """The cards that may be used, as CUDA_VISIBLE_DEVICES names them.

    Args:
        found: all of the machine.
        visible: that variable; None where it is not set.

    Raises:
        UserError: it begins with what is none of them: CUDA would train on the CPU without a word.
    """
    if visible is None or not found:
        return [str(gpu.index) for gpu in found]
    names = [name.strip() for name in visible.split(",")]
    chosen = [name for name, _ in choose(found, names)]
    if not chosen and names[0] not in _NONE:
        named = f"CUDA_VISIBLE_DEVICES={visible} names no GPU of this machine"
        there = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in found)
        raise UserError(f"{named}; unset it, or write one of {there}")
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
    """All cards that NVML shows, in PCI order; none without a driver, and those before one that does not answer."""
    cards: list[Gpu] = []
    with _nvml() as there, contextlib.suppress(pynvml.NVMLError):
        for index in range(pynvml.nvmlDeviceGetCount() if there else 0):
            card = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid, name = str(pynvml.nvmlDeviceGetUUID(card)), str(pynvml.nvmlDeviceGetName(card))
            cards.append(Gpu(index, uuid, name, _memory_mb(card)))
    return cards


def _memory_mb(card: Any) -> float:
    try:
        return float(pynvml.nvmlDeviceGetMemoryInfo(card).total / _MB)
    except pynvml.NVMLError:  # not supported: some cards share the memory of the CPU
        return 0.0


def model(name: str) -> str:
    """What the driver calls the card, or the part of one, that CUDA_VISIBLE_DEVICES names so; else that name itself."""
    for _, gpu in choose(found(), [name]):
        if gpu:
            return gpu.name
    with _nvml() as there, contextlib.suppress(pynvml.NVMLError):
        if there:
            return str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByUUID(name)))
    return name


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
