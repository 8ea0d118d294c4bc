"""What a worker tells the pool that started it: one line of JSON a message, through a pipe."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Told:
    """One message.

    Attributes:
        peak_mb: memory on the GPU that a training took at most, MiB.
        short: whether a training ran out of GPU memory.
        fault: why the worker gives up.
    """

    peak_mb: float | None = None
    short: bool = False
    fault: str | None = None


class Sender:
    """The worker's end; without a descriptor nobody listens."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor

    def send(self, told: Told) -> None:
        """Sends a message; a pool that has gone gets nothing."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, json.dumps(asdict(told)).encode() + b"\n")


class Receiver:
    """The pool's end.

    Attributes:
        descriptor: the worker's end, until it has it.
    """

    def __init__(self) -> None:
        ours, self.descriptor = os.pipe()
        os.set_blocking(ours, False)
        self._pipe = io.FileIO(ours)
        self._left = b""

    def started(self) -> None:
        """The worker has its end."""
        os.close(self.descriptor)

    def receive(self) -> list[Told]:
        """What was told since the last call."""
        while piece := self._pipe.read(65536):
            self._left += piece
        *lines, self._left = self._left.split(b"\n")
        return [Told(**json.loads(line)) for line in lines]
