"""A running study server that takes artifacts; it can be restarted at the same address."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from made_up import READY, Bench

from results.artifacts import ArtifactIndex
from runner.protocol import Lease, LeaseRequest
from runner.wire.client import Client
from sweeps.artifacts import Artifacts, Limits, open_backend
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Address, Server, create_app
from sweeps.server.registry import Registry
from sweeps.study.study import Study

TOKEN = "the right one"


@dataclass
class ArtifactSite:
    """The server, its study of four trials, its artifacts."""

    folder: Path
    study: Study
    coordinator: Coordinator
    registry: Registry
    limits: Limits = field(default_factory=Limits)
    where: str = ""
    url: str = ""

    def start(self) -> None:
        index = ArtifactIndex(self.study.store)
        backend = open_backend(self.where or str(self.folder / "artifacts"))
        self.artifacts = Artifacts(index, backend, self.folder / "arriving", self.limits)
        app = create_app(self.registry, TOKEN, None, self.artifacts)
        self.server = Server(app, Address(port=urlsplit(self.url).port or 0))
        self.server.__enter__()
        self.url = self.server.url

    def stop(self) -> None:
        self.server.__exit__()
        self.artifacts.close()

    def lease(self, worker: str = "w1", **fields: float) -> Lease:
        with Client(self.url, TOKEN) as client:
            lease = client.lease(LeaseRequest(worker=worker, owner="Ann", device="cpu", ready=READY)).lease
        assert lease
        return lease.model_copy(update=fields)

    def http(self, token: str = TOKEN) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=20)

    def objects(self) -> set[str]:
        return {path.name for path in (self.folder / "artifacts").iterdir()}


@contextlib.contextmanager
def artifact_site(folder: Path, limits: Limits | None = None, where: str = "") -> Iterator[ArtifactSite]:
    with Bench(folder).study() as study:
        registry = Registry()
        site = ArtifactSite(folder, study, Coordinator(study), registry, limits or Limits(), where)
        registry.add(site.coordinator)
        site.start()
        try:
            yield site
        finally:
            site.stop()
