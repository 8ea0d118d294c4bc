"""A team's server as it runs: real HTTP on the loopback address, real store and data, a study with a running trial."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from desk import NUCLEI

from results.store import Store
from runner.paths import TrialPaths
from runner.protocol import DataPaths, EpochReport, Lease, LeaseRequest, Result
from runner.wire.client import Client
from sweeps.access import artifact_store
from sweeps.access.remote import Remote
from sweeps.run.submit import _send_labels, _submission
from sweeps.server.app import Server, create_app
from sweeps.server.submission import Submission
from sweeps.server.team import Team
from sweeps.space.loader import load
from sweeps.study.setup import locate_data

TOKEN = "x3Kq-the-right-token-77f0"
SPACE = """\
study: {study}
data: {data}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: 4, image_size: 64, batch_size: 2}}
search: {{lr: [0.001, 0.002, 0.003, 0.004]}}
budget: {{trials: 4}}
"""
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class House:
    """A running server; trial 0 of study `mine` is complete, trial 1 runs with one epoch, both have files."""

    folder: Path
    team: Team
    url: str
    data: DataPaths
    done: Lease
    held: Lease
    http: httpx.Client

    @property
    def work_dir(self) -> Path:
        return self.folder / "work_dirs"

    def client(self) -> Remote:
        return Remote(self.url, TOKEN)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str | bytes] | None = None, **options: Any
    ) -> httpx.Response:
        """With the token, unless the headers say something else."""
        return self.http.request(
            method, self.url + path, headers=dict(AUTHORIZED if headers is None else headers), **options
        )

    def everything(self) -> dict[str, str]:
        """All of the database, and the hash of every file."""
        with contextlib.closing(sqlite3.connect(self.folder / "sweeps.db")) as database:
            kept = {"database": "\n".join(database.iterdump())}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.name.startswith("sweeps.db"):
                kept[str(path.relative_to(self.folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        return kept

    def submission(self, study: str = "mine", text: str = SPACE) -> Submission:
        return submission(self.folder, self.data, study, text)


def submission(folder: Path, data: DataPaths, study: str = "mine", text: str = SPACE) -> Submission:
    path = folder / "as_written.yaml"
    path.write_text(text.format(study=study, data=NUCLEI), encoding="utf-8")
    made = _submission(load(path), "tiny", data)
    path.unlink()
    return made


@contextlib.contextmanager
def house(folder: Path, **options: Any) -> Iterator[House]:
    """Opens the house in a folder.

    Args:
        folder: takes database and files.
        options: of `sweeps.server.team.Team`.
    """
    folder.mkdir(exist_ok=True)
    storage, work_dir = f"sqlite:///{folder / 'sweeps.db'}", folder / "work_dirs"
    data = locate_data(str(NUCLEI), "tiny", folder / "data")
    with Store.open(storage) as store, contextlib.ExitStack() as stack:
        artifacts = stack.enter_context(artifact_store.opened(store, storage, None, None))
        team = Team(store, storage, work_dir, artifacts=artifacts, **options)
        team.submit(submission(folder, data))
        server = stack.enter_context(Server(create_app(team.registry, TOKEN, team, artifacts)))
        with Remote(server.url, TOKEN) as client:
            _send_labels(client, "mine", data)
            team.registry.study("mine").resume()
            leases = [ask(client, team, f"w{n}") for n in range(2)]
            for lease in leases:
                paths = TrialPaths.of(lease.work_dir, lease.study, lease.trial)
                paths.folder.mkdir(parents=True)
                paths.log.write_text("a line of the log\n")
                paths.last.write_bytes(b"weights")
                client.report(lease, EpochReport(epoch=1, metrics={"segm_mAP": 0.5}, seconds=1.0))
            client.finish(leases[0], Result(outcome="complete", config="model = {}\n", seconds=1.0))
            with httpx.Client(trust_env=False, timeout=30) as http:
                yield House(folder, team, server.url, data, leases[0], leases[1], http)


def ask(client: Client, team: Team, worker: str, study: str = "mine") -> Lease:
    """A lease of a study, as a worker gets it that has the data."""
    ready = {one.name: one.needs.proof() for one in team.registry.studies()}
    lease = client.lease(LeaseRequest(worker=worker, owner="Ann", device="cpu", study=study, ready=ready)).lease
    assert lease
    return lease
