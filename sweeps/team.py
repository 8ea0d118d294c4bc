"""What a long-lived server does beside answering: takes studies in, and opens them again after a restart."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from results.records import StudyRecord
from results.store import Store
from runner.errors import UserError
from runner.protocol import DataPaths, Message, Scale, StudyName
from sweeps.coordinator import Coordinator
from sweeps.hall import Hall
from sweeps.session import open_study
from sweeps.space import travel
from sweeps.space.document import parse
from sweeps.space.identity import differences, identity
from sweeps.space.loader import load
from sweeps.space.schema import SearchSpace
from sweeps.study import Study

log = logging.getLogger("sweep.server")
_MAX_TEXT = 1_000_000  # characters of a space or a plugin


class PluginText(Message):
    """A file of the user's own, as it travels to the server."""

    name: str = Field(pattern=r"^[A-Za-z_]\w*\.py$", max_length=100)
    text: str = Field(max_length=_MAX_TEXT)


class Submission(Message):
    """A study for a team's server.

    Attributes:
        space: `sweeps.space.travel` document as YAML.
        scale: decided by whoever submits it.
        data: where the data lie on the machine that submits it, and what they are.
        labels: SHA-256 of the label files (train, val), which were uploaded before; None where the server reads them
            under their own paths.
        plugins: the files that the space names.
    """

    space: str = Field(max_length=_MAX_TEXT)
    scale: Scale
    data: DataPaths
    labels: tuple[str, str] | None = None
    plugins: tuple[PluginText, ...] = ()


class Team:
    """Studies of one database, for people and workers that come and go.

    Args:
        store: our tables.
        storage: URL of the database they lie in.
        work_dir: folder of what workers send, of label files and of plugins; each study keeps its own below it.
        plugins: whether code that comes with a study may run in this process.
        stays: whether workers wait for studies to come.
    """

    def __init__(
        self,
        store: Store,
        storage: str,
        work_dir: Path = Path("work_dirs"),
        plugins: bool = False,
        stays: bool = False,
    ) -> None:
        self.store, self.storage, self.work_dir = store, storage, work_dir.absolute()
        self.plugins = plugins
        self.hall = Hall(stays)
        self._lock = threading.Lock()

    def reopen(self) -> None:
        """Opens every study of the database; one that cannot be opened is told and left alone."""
        for record in self.store.studies():
            try:
                space = self._again(record)
                self._open(record, space, DataPaths.model_validate(record.data))
            except (UserError, ValueError) as error:
                log.warning("study %s is not served: %s", record.name, str(error).splitlines()[0])

    def submit(self, submission: Submission) -> StudyRecord:
        """Takes a study in, or goes on with the one of its name.

        Raises:
            UserError: what is wrong with it, in one line a mistake.
        """
        with self._lock:
            data = self._data(submission)
            space = self._space(submission)
            record = open_study(self.store, space, submission.scale, data, self.work_dir)
            known = next((one for one in self.hall.studies() if one.name == record.name), None)
            if known is None:
                self._open(record, space, data)
            else:
                known.go_on(space, record)
            return record

    def _open(self, record: StudyRecord, space: SearchSpace, data: DataPaths) -> None:
        study = Study(self.storage, self.store, record, space, data, workers_survive=True)
        self.hall.add(Coordinator(study, lambda line: log.info("%s: %s", record.name, line)))

    def _space(self, submission: Submission) -> SearchSpace:
        """The submitted space, read from a file of the study's folder that also names its plugins there.

        Raises:
            UserError: mistakes in it, or code that may not run here.
        """
        name = _study_name(submission.space)
        folder = self.work_dir / name
        if submission.plugins and not self.plugins:
            names = ", ".join(one.name for one in submission.plugins)
            raise UserError(
                f"study {name} brings code of its own ({names}); a server started with --allow-plugins runs it"
            )
        files = [str(travel.keep(one.text, folder / "plugins" / one.name)) for one in submission.plugins]
        path = travel.keep(submission.space, folder / "space.yaml")
        # its data and plugins lie elsewhere here than where it was written
        return load(path, ["data=demo", f"plugins={json.dumps(files)}"], scale=lambda _: submission.scale)

    def _again(self, record: StudyRecord) -> SearchSpace:
        """The space of a study that the database holds.

        Raises:
            UserError: it was begun by another version, or its plugins have changed.
        """
        path = travel.keep(record.space_text, self.work_dir / record.name / "space.yaml")
        scale: Scale = "tiny" if record.scale == "tiny" else "standard"
        space = load(path, ["data=demo"], scale=lambda _: scale)
        different = differences(record.identity, identity(space, scale, record.data_hash))
        if different:
            raise UserError(f"its space reads otherwise today: {'; '.join(different)}")
        return space

    def _data(self, submission: Submission) -> DataPaths:
        """The data with label files that this server can hand out.

        Raises:
            UserError: they are not here.
        """
        data = submission.data
        if submission.labels is None:
            for path in (data.train_annotations, data.val_annotations):
                if not Path(path).is_file():
                    raise UserError(f"the label file {path} is not on the server")
            return data
        return data


def _study_name(text: str) -> str:
    """The name of the study in a space, before anything else of it is looked at: it names a folder."""
    document = parse(text, Path("space")).data
    name = document.get("study") if isinstance(document, dict) else None
    try:
        return TypeAdapter(StudyName).validate_python(name, strict=True)
    except ValidationError as error:
        raise UserError("the space names no study that could be a folder's name") from error
