"""A lock that is fair: whoever waits longest is next."""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """As `threading.RLock`, but threads enter in the order in which they came.

    threading's locks let any thread in that happens to ask when the lock falls free; of many that wait, some then wait
    many times as long as the others, a worker past its time-out. Use as a context manager.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()  # guards what follows; held for a moment only
        self._owner: int | None = None
        self._depth = 0
        self._waiting: deque[tuple[int, threading.Lock]] = deque()

    def __enter__(self) -> None:
        me, gate = threading.get_ident(), threading.Lock()
        with self._mutex:
            if self._owner in (None, me):
                self._owner, self._depth = me, self._depth + 1
                return
            gate.acquire()
            self._waiting.append((me, gate))
        try:
            gate.acquire()
        except BaseException:  # Ctrl-C: nobody may wait for us
            with self._mutex:
                if (me, gate) in self._waiting:
                    self._waiting.remove((me, gate))
                else:
                    self._pass_on()
            raise

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            self._depth -= 1
            if not self._depth:
                self._pass_on()

    def _pass_on(self) -> None:
        self._owner, self._depth = None, 0
        if self._waiting:
            (self._owner, gate), self._depth = self._waiting.popleft(), 1
            gate.release()
