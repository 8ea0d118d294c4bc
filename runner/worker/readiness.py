"""Before a worker takes trials of a study: are its data here, and may its plugins run here?"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.data.guard import data_proof, moved, root_for
from runner.errors import UserError
from runner.paths import replace_with
from runner.protocol import DataPaths, Lease, Needs, Plugin
from runner.wire.artifacts import Transfer
from runner.wire.client import Client
from runner.worker.trust import distrusted

log = logging.getLogger("sweep.worker")
_MODULE = re.compile(r"[A-Za-z_]\w*\.py")
_LABELS = ("train_annotations", "val_annotations")
_MOST_PLUGIN = 4_000_000  # bytes; a server takes a million characters


@dataclass(frozen=True)
class Place:
    """Where a worker keeps and finds things.

    Attributes:
        work_dir: its own folder of trials; None for the study's own, on the server's machine.
        roots: study -> folder that takes the place of the data file's; ``""`` stands for every study.
        plugins: whether code that comes with a study may run here.
    """

    work_dir: Path | None = None
    roots: Mapping[str, Path] = field(default_factory=dict)
    plugins: bool = False

    @property
    def shared(self) -> bool:
        """Whether trials lie where the server sees them, so that nothing has to travel."""
        return self.work_dir is None


class Readiness:
    """What a worker found of each study it was asked about.

    Args:
        client: of the study server.
        place: where data are looked for and kept.

    Attributes:
        ready: study -> proof, for `LeaseRequest.ready`.
        unable: study -> why not, for `LeaseRequest.unable`.
    """

    def __init__(self, client: Client, place: Place) -> None:
        self.client, self.place = client, place
        self.ready: dict[str, str] = {}
        self.unable: dict[str, str] = {}
        self._data: dict[str, DataPaths] = {}
        self._plugins: dict[str, tuple[Plugin, ...]] = {}

    def look(self, needs: Needs) -> None:
        """Looks for a study's data and plugins; afterwards it is in `ready` or in `unable`.

        Raises:
            httpx.TransportError: the server does not answer.
        """
        self.ready.pop(needs.study, None)
        self.unable.pop(needs.study, None)
        try:
            self._data[needs.study] = self._find(needs)
            self._plugins[needs.study] = tuple(self._fetch_plugin(needs.study, one) for one in needs.plugins)
        except UserError as error:
            log.error("study %s cannot be trained here: %s", needs.study, error)
            self.unable[needs.study] = str(error)
            return
        self.ready[needs.study] = needs.proof()

    def here(self, lease: Lease) -> Lease:
        """The lease with the paths of this machine.

        Raises:
            UserError: it wants what may not run here; the study is in `unable` from now on.
        """
        if lease.study not in self.ready:
            raise UserError(f"the server hands out study {lease.study} without asking for its data")
        reason = None if self.place.plugins else distrusted(lease.combination)
        if reason:
            self.ready.pop(lease.study)
            self.unable[lease.study] = f"{reason}; a worker started with --allow-plugins would train it"
            raise UserError(self.unable[lease.study])
        return lease.model_copy(
            update={
                "data": self._data[lease.study],
                "plugins": self._plugins[lease.study],
                "work_dir": lease.work_dir if self.place.work_dir is None else str(self.place.work_dir),
            }
        )

    def _find(self, needs: Needs) -> DataPaths:
        """The study's data on this machine.

        Raises:
            UserError: they are not here, or are others.
        """
        data = needs.data
        root = root_for(needs.study, self.place.roots)
        if root is not None:
            data = moved(data, root)
        data = data.model_copy(
            update={name: self._labels(needs, name, sha256) for name, sha256 in zip(_LABELS, data.labels, strict=True)}
        )
        try:
            found = data_proof(data)
        except UserError as error:
            raise UserError(f"data {data.name}: {error}; name the folder that holds them with --data-root") from error
        if found != data.check:
            raise UserError(
                f"data {data.name}: the images or labels here are not those of the study "
                f"(hash {found[:12]}, not {data.check[:12]}); copy them anew, or name another folder with --data-root"
            )
        return data

    def _labels(self, needs: Needs, name: str, sha256: str) -> str:
        """A label file: the study's own path where it is the same here, else fetched; the study may have made it."""
        path = Path(getattr(needs.data, name))
        if self.place.shared or (path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256):
            return str(path)
        target = self._folder(needs.study) / f"{sha256[:16]}.json"
        if not Transfer(self.client.http).download_labels(needs.study, sha256, target):
            raise UserError(f"the study server has not got the label file {path.name}; submit the study again")
        return str(target)

    def _fetch_plugin(self, study: str, plugin: Plugin) -> Plugin:
        """The file of a plugin on this machine.

        Raises:
            UserError: plugins may not run here, or the server's is not the one of the study.
        """
        name = Path(plugin.path).name
        if not _MODULE.fullmatch(name):
            raise UserError(f"{name!r} is no name of a plugin")
        if not self.place.plugins:
            raise UserError(
                f"the study brings code of its own, {name} (SHA-256 {plugin.sha256[:12]}); "
                "a worker started with --allow-plugins would run it"
            )
        if self.place.shared:
            return plugin
        content = self.client.fetch(f"/studies/{study}/plugins/{plugin.sha256}", _MOST_PLUGIN)
        if hashlib.sha256(content).hexdigest() != plugin.sha256:
            raise UserError(f"plugin {name}: the server's file is not the one the study began with")
        log.info("study %s runs %s (SHA-256 %s) here", study, name, plugin.sha256)
        return Plugin(path=str(self._keep(study, name, content, plugin.sha256[:12])), sha256=plugin.sha256)

    def _folder(self, study: str) -> Path:
        return Path(self.place.work_dir or ".").absolute() / study / "from_server"

    def _keep(self, study: str, name: str, content: bytes, *below: str) -> Path:
        path = self._folder(study).joinpath(*below, name)
        if not path.is_file() or path.read_bytes() != content:
            replace_with(path, content)
        return path
