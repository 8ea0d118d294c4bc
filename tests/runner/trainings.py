"""Trainings in an environment of their own: fork servers of a test's process keep the one they began with.

As a program: reads lines of [lease, reports to wait for or null], writes the last note of each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainers import trainer

from runner.protocol import Lease, Note


@dataclass
class Trainings:
    """Trains leases, one after the other; downloads of weights lie in `cache`."""

    process: subprocess.Popen[str]
    cache: Path

    def end(self, held: Lease, reports: int | None = None) -> Note:
        """The last note of a training; one that is killed after so many reports ends with a report."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([held.model_dump_json(), reports]) + "\n")
        self.process.stdin.flush()
        return Note.model_validate_json(self.process.stdout.readline())


@contextmanager
def trainings(folder: Path) -> Iterator[Trainings]:
    """A process that trains, keeps what it downloads in `folder`, and reaches nothing but loopback."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    root = Path(__file__).parents[2]
    places = os.pathsep.join(map(str, (root, root / "tests", root / "tests" / "runner")))
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **nowhere, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONPATH": places,
             "SWEEP_WEIGHTS": str(folder / "cache"), "HF_HOME": str(folder / "hf")},
    )  # fmt: skip
    try:
        yield Trainings(process, folder / "cache")
    finally:
        process.communicate()


def main() -> None:
    for line in sys.stdin:
        lease, reports = json.loads(line)
        with trainer(Lease.model_validate_json(lease)) as one:
            if reports is None:
                note = one.end()
            else:
                for number in range(reports):
                    if number:
                        one.go_on()
                    note = one.note()
        print(note.model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
