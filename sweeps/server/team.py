"""What a long-lived server does beside answering: takes studies in, and opens them again after a restart."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import threading
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from results.errors import ClaimedError
from results.records import StudyRecord
from results.store import Store
from runner.errors import UserError
from runner.protocol import DataPaths, StudyName
from sweeps.artifacts import Artifacts
from sweeps.leases.coordinator import Coordinator
from sweeps.server.registry import Registry
from sweeps.server.submission import AWAITED, PluginText, Submission
from sweeps.space import travel
from sweeps.space.document import parse
from sweeps.space.loader import load
from sweeps.space.schema import SearchSpace
from sweeps.study.setup import open_study, reopened
from sweeps.study.study import Study

log = logging.getLogger("sweep.server")


class Team:
    """Studies of one database, for people and workers that come and go: workers train on where this process ends.

    Args:
        store: our tables.
        storage: URL of the database they lie in.
        work_dir: folder of what workers send, of label files and of plugins; each study keeps its own below it.
        plugins: whether code that comes with a study may run in this process.
        artifacts: has the label files; None where nobody else needs them.
    """

    def __init__(
        self,
        store: Store,
        storage: str,
        work_dir: Path = Path("work_dirs"),
        plugins: bool = False,
        artifacts: Artifacts | None = None,
    ) -> None:
        self.store, self.storage, self.work_dir = store, storage, work_dir.absolute()
        self.plugins, self.artifacts = plugins, artifacts
        self.registry = Registry(stays=True)
        self._lock = threading.Lock()

    def reopen(self, shared: bool = False, only: str | None = None) -> None:
        """Opens every study of the database; one that cannot be opened is told and left alone.

        Args:
            shared: also one that another server has.
            only: the one to open, where the database has it.

        Raises:
            ClaimedError: another server has one, and the database is not shared.
        """
        records = self.store.studies()
        for record in [one for one in records if one.name == only] or records:
            try:
                self._check_leave(record.name, record.identity.get("plugins") or {})
                space = reopened(record, self.work_dir / record.name)
                self._open(record, space, DataPaths.model_validate(record.data))
            except ClaimedError as error:
                if not shared:
                    raise
                log.warning("study %s is not served: %s", record.name, error)
            except (UserError, ValueError) as error:
                log.warning("study %s is not served: %s", record.name, str(error).splitlines()[0])

    def submit(self, submission: Submission) -> StudyRecord:
        """Takes a study in, or goes on with the one of its name.

        Raises:
            UserError: what is wrong with it, in one line a mistake.
        """
        with self._lock:
            space = self._space(submission)
            record = open_study(self.store, space, submission.scale, submission.data, self.work_dir)
            lacking = self._lacks_labels(record.name, submission.data)
            known = next((one for one in self.registry.studies() if one.name == record.name), None)
            if known is not None:
                known.go_on(space, record)
                if lacking:
                    known.pause(AWAITED)
                return known.record()
            if lacking:  # before a worker can ask for them
                self.store.set_state(record.name, "paused", AWAITED)
                record = replace(record, state="paused", reason=AWAITED)
            return self._open(record, space, submission.data).record()

    def _lacks_labels(self, study: str, data: DataPaths) -> bool:
        """Whether workers would look for label files that are not here yet."""
        index = self.artifacts.index if self.artifacts else None
        return index is not None and any(index.find(study, None, sha256) is None for sha256 in data.labels)

    def _open(self, record: StudyRecord, space: SearchSpace, data: DataPaths) -> Coordinator:
        study = Study(self.storage, self.store, record, space, data, workers_survive=True)
        study.take_up_order()
        coordinator = Coordinator(study, lambda line: log.info("%s: %s", record.name, line))
        self.registry.add(coordinator)
        return coordinator

    def _space(self, submission: Submission) -> SearchSpace:
        """The submitted space, read from a file of the study's folder that also names its plugins there.

        Raises:
            UserError: mistakes in it, or code that may not run here.
        """
        name = _study_name(submission.space)
        self._check_leave(name, [Path(one.name).stem for one in submission.plugins])
        files = [str(self._plugin(name, one)) for one in submission.plugins]
        with tempfile.TemporaryDirectory() as folder:  # what is refused must leave no trace in a study that runs
            path = travel.keep(submission.space, Path(folder) / "space.yaml")
            try:
                # its data and plugins lie elsewhere here than where it was written
                return load(path, ["data=demo", f"plugins={json.dumps(files)}"], scale=lambda _: submission.scale)
            except UserError as error:
                raise UserError(str(error).replace(f"{folder}/", "")) from error

    def _check_leave(self, study: str, plugins: Collection[str]) -> None:
        """Whether a study's code may run here.

        Raises:
            UserError: it may not.
        """
        if plugins and not self.plugins:
            names = ", ".join(f"{name}.py" for name in plugins)
            raise UserError(
                f"study {study} brings code of its own ({names}); a server started with --allow-plugins runs it"
            )

    def _plugin(self, study: str, file: PluginText) -> Path:
        """Keeps a file under its hash, so that another one of its name leaves it as it is."""
        sha256 = hashlib.sha256(file.text.encode()).hexdigest()
        return travel.keep(file.text, self.work_dir / study / "plugins" / sha256[:16] / file.name)


def _study_name(text: str) -> str:
    """The name of the study in a space, before anything else of it is looked at: it names a folder."""
    document = parse(text, Path("space")).data
    name = document.get("study") if isinstance(document, dict) else None
    try:
        return TypeAdapter(StudyName).validate_python(name, strict=True)
    except ValidationError as error:
        raise UserError("the space names no study that could be a folder's name") from error
