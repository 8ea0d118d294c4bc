"""Another program that has an SQLite file open and changes something there that it does not save yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


class Editor:
    """Locks a database from `begin` to `over`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        command = [sys.executable, "-c", _PROGRAM, str(self._path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout and self._process.stdout.readline() == b"locked\n"

    def over(self) -> None:
        if self._process:
            self._process.communicate()
        self._process = None
