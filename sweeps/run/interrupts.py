"""Ctrl-C and SIGTERM, as a run takes them."""

from __future__ import annotations

import os
import signal
import sys

from runner.errors import INTERRUPTED
from runner.pool import Pool


class Interrupts:
    """Counts Ctrl-C and SIGTERM: the first asks for a polite end, the second ends at once."""

    def __init__(self) -> None:
        self.count = 0
        self.pool: Pool | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    def _take(self, *_: object) -> None:
        self.count += 1
        if self.count == 1:
            # a handler may interrupt a write to stderr: no buffered one from here
            os.write(2, b"\nending politely: trials are handed back; Ctrl-C again ends at once\n")
            return
        if self.pool:
            self.pool.stop(polite=False)
        if sys.stderr.isatty():
            os.write(2, b"\x1b[?25h")  # the live table hides the cursor
        os._exit(INTERRUPTED)


def let_interrupt() -> None:
    """From now on Ctrl-C and SIGTERM end what runs: scoring ends with them, and begins anew the next time."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
