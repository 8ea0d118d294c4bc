"""Artifacts of a study with a few trials: real database, real files, no HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from made_up import tables

from results.artifacts import ArtifactIndex, ArtifactRecord
from results.records import StudyRecord, TrialState
from results.store import Store
from sweeps.artifacts import Artifacts, Limits, Place, open_backend
from sweeps.artifacts.backends import Backend

STUDY = "made_up"


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no compression or deduplication makes fewer, the same for a seed."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def last(trial: int = 0, name: str = "last.pth") -> Place:
    return Place(STUDY, trial, name)


def study_record(name: str = STUDY) -> StudyRecord:
    return StudyRecord(
        name=name, state="running", objective="segm_mAP", at="last", scale="tiny", identity={}, space_text="",
        data={"name": "made up"}, data_hash="d" * 64, detections=100, adapted={}, work_dir="work_dirs", budget={},
    )  # fmt: skip


def add_trial(store: Store, number: int, study: str = STUDY) -> None:
    parts = {"model": {"name": "mask_rcnn", "params": {}}, "settings": {"batch_size": 2}}
    store.add_trial(
        study, number, combination="0a1b2c3d", parts=parts, params={}, optuna_params={}, seed=number, epochs=2,
        owner="Ann", data_hash="d" * 64,
    )  # fmt: skip
    store.lease(study, number, fence=1, worker=f"w{number}", owner="Ann", device="cpu")


@dataclass
class Depot:
    """A folder with a database, the artifacts beside it, and four running trials."""

    folder: Path
    limits: Limits = field(default_factory=Limits)
    where: str = ""

    def __post_init__(self) -> None:
        self.where = self.where or str(self.folder / "artifacts")
        if not (self.folder / "sweeps.db").exists():
            (self.folder / "sweeps.db").write_bytes(tables())
            with self.store() as store:
                store.add_study(study_record())
                for number in range(4):
                    add_trial(store, number)

    def store(self) -> Store:
        return Store.open(f"sqlite:///{self.folder / 'sweeps.db'}")

    @property
    def spool(self) -> Path:
        return self.folder / "arriving"

    @contextlib.contextmanager
    def open(self, backend: Backend | None = None) -> Iterator[Artifacts]:
        """What a server does at its start and at its end."""
        with self.store() as store:
            index = ArtifactIndex(store)
            with Artifacts(index, backend or open_backend(self.where), self.spool, self.limits) as artifacts:
                yield artifacts

    def end(self, number: int, state: TrialState, score: float | None = None) -> None:
        """Ends a trial, with a score."""
        from results.records import EpochRecord

        with self.store() as store:
            store.add_epoch(STUDY, number, EpochRecord(1, score, {"segm_mAP": score}))
            store.finish(STUDY, number, state=state)

    def objects(self) -> set[str]:
        """What the artifact store's folder holds."""
        return {path.name for path in Path(self.where).iterdir()}

    def partials(self) -> list[Path]:
        return list(self.spool.iterdir())

    def size(self) -> int:
        """Bytes on disk, of artifacts and of what is on its way; one file under two names counts once."""
        found = {}
        for path in [*Path(self.where).iterdir(), *self.spool.iterdir()]:
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found[stat.st_ino] = stat.st_size
        return sum(found.values())


def send(artifacts: Artifacts, place: Place, data: bytes, piece: int = 2**20) -> ArtifactRecord:
    """Sends a content as a worker does, and waits until it counts."""
    digest = sha256(data)
    standing = artifacts.begin(place, len(data), digest)
    while not standing.done:
        if standing.offset < len(data):
            standing = artifacts.put(place, len(data), digest, standing.offset, data[standing.offset :][:piece])
        else:
            standing = artifacts.begin(place, len(data), digest)
    return artifacts.find(place)


def read(artifacts: Artifacts, place: Place, offset: int = 0) -> bytes:
    with contextlib.closing(artifacts.open(artifacts.find(place), offset)) as reader:
        return reader.read()
