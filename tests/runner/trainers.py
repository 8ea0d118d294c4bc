"""Real trainers, started as a worker starts them; the test is the worker."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from runner.machine import Machine
from runner.protocol import Lease, Note, Verdict
from runner.worker.child import trainer as train_lease

MACHINE = Machine(threads=1, loader_workers=0)


@dataclass
class Trainer:
    """A trainer and what it has said so far."""

    process: BaseProcess
    link: Connection
    notes: list[Note] = field(default_factory=list)

    def note(self, seconds: float = 120) -> Note:
        assert self.link.poll(seconds), "the trainer says nothing"
        self.notes.append(Note.model_validate_json(self.link.recv_bytes()))
        return self.notes[-1]

    def go_on(self) -> None:
        self.link.send_bytes(Verdict().model_dump_json().encode())

    def end(self) -> Note:
        """Lets it train to its end; the last note."""
        while (note := self.note()).kind == "report":
            self.go_on()
        self.process.join(20)
        assert not self.process.is_alive()
        return note


@contextmanager
def trainer(what: Lease, machine: Machine = MACHINE) -> Iterator[Trainer]:
    """A trainer of a lease; nothing of it is left afterwards."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runner.worker.tied", "runner.training.trainer"])
    ours, theirs = context.Pipe()
    process = context.Process(target=train_lease, args=(what.model_dump_json(), machine, theirs))
    process.start()
    theirs.close()
    try:
        yield Trainer(process, ours)
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()
