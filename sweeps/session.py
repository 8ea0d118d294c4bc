"""From a checked space to a study: which scale, which data, which identity."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from results.reader import Reader
from results.records import StudyRecord
from results.store import Store
from runner.adapt import adapt, detections, image_size
from runner.catalog import PARTS
from runner.data.datafile import parse
from runner.data.demo import demo_data
from runner.data.prepare import prepare
from runner.errors import UserError
from runner.protocol import DataPaths, Scalar, Scale
from sweeps.space.document import read
from sweeps.space.identity import differences, identity
from sweeps.space.problems import SpaceErrors, SpaceProblem
from sweeps.space.resolve import resolve
from sweeps.space.schema import Choice, SearchSpace
from sweeps.space.walk import first, forbidden, suggest

_MOST_PARTS = 300  # combinations of names whose configs are looked at
Tell = Callable[[str, int, int], None]  # (what is done, how much, of how much)


def choose_scale(space: SearchSpace, wanted: str | None, gpus: int) -> Scale:
    """The scale asked for; `auto` is standard with a GPU and tiny without one."""
    scale = wanted or space.scale
    if scale == "auto":
        return "standard" if gpus else "tiny"
    return "tiny" if scale == "tiny" else "standard"


def locate_data(data: str, scale: Scale, folder: Path, tell: Tell | None = None) -> DataPaths:
    """Reads and checks the data of a study; the demo's are generated once into the user's cache folder.

    Args:
        data: ``demo`` or the path of a data file.
        scale: of the study, which the demo's size follows.
        folder: takes label files that are made (splits).
        tell: told of the progress.

    Raises:
        UserError: the data file, its images or labels are broken.
    """
    path = Path(data)
    if data == "demo":
        path = demo_data(
            platformdirs.user_cache_path("sweep") / "data",
            scale,
            lambda done, of: tell("generating particles", done, of) if tell else None,
        )
    document = read(path)
    described, problems = parse(document.data, path.absolute().parent, path)
    if described is None or problems:
        found = [SpaceProblem(str(path), *document.locate(p.key), p.key, p.message, p.suggestion) for p in problems]
        raise SpaceErrors(found)
    return prepare(described, folder, tell)


def check_config(space: SearchSpace, scale: Scale) -> None:
    """Checks that every path under ``config`` is in the rendered config of every model that can be chosen.

    Loads mmengine (seconds), and only if the space has such paths.

    Raises:
        SpaceErrors: for each path that is not.
    """
    if not space.config:
        return
    from runner.render import unknown_paths

    problems: dict[str, SpaceProblem] = {}
    forms = {part: form for part, form in space.forms().items() if part in PARTS and isinstance(form, Choice)}
    for labels in itertools.islice(itertools.product(*(form.labels for form in forms.values())), _MOST_PARTS):
        assignment = suggest(space, _Chosen(dict(zip(forms, labels, strict=True))))
        if forbidden(space, assignment):
            continue
        combination, _ = resolve(space, assignment, scale, n_train=100)
        for path, message in unknown_paths(combination, scale).items():
            names = f"{combination.model.name} with {combination.backbone.name}"
            problems.setdefault(path, SpaceProblem(*space.places[path], f"config.{path}", f"{names}: {message}"))
    if problems:
        raise SpaceErrors(list(problems.values()))


@dataclass(frozen=True)
class _Chosen:
    """Answers a space's questions with given labels, else with what stands first."""

    labels: Mapping[str, Scalar]

    def categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        return self.labels.get(name, choices[0])

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        return low

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        return low


@dataclass(frozen=True)
class Fit:
    """What is fitted to the data, for the space's first combination."""

    detections: int
    adapted: dict[str, Any]


def fit(space: SearchSpace, scale: Scale, data: DataPaths) -> Fit:
    """Fits detections, proposals and anchors; `detections` holds for every trial of the study."""
    combination, _ = resolve(space, first(space), scale, data.n_train)
    mode = combination.settings["adapt"]
    return Fit(detections(data, mode), adapt(data, image_size(combination), scale, mode))


def open_study(store: Store, space: SearchSpace, scale: Scale, data: DataPaths, work_dir: Path) -> StudyRecord:
    """The study's record, made new or found again.

    Raises:
        UserError: a study of this name is there and was about something else.
    """
    budget = asdict(space.budget)
    known = store.study(space.study)
    if known is None:
        fitted = fit(space, scale, data)
        moment = datetime.now(UTC)
        record = StudyRecord(
            name=space.study, state="running", objective=space.objective.metric, at=space.objective.at,
            scale=scale, identity=identity(space, scale, data.hash), space_text=space.text,
            data=data.model_dump(mode="json"), data_hash=data.hash,
            detections=fitted.detections, adapted=fitted.adapted,
            work_dir=str(work_dir.absolute()), budget=budget, created_at=moment, started_at=moment,
        )  # fmt: skip
        store.add_study(record)
        return record
    check_identity(store, space, scale, data)
    store.touch_study(space.study, state="running", budget=budget, started_at=datetime.now(UTC))
    found = store.study(space.study)
    assert found
    return found


def check_identity(store: Reader, space: SearchSpace, scale: Scale, data: DataPaths) -> None:
    """Checks that a study of this name, where there is one, is about the same.

    Raises:
        UserError: it is not; the line says what differs.
    """
    known = store.study(space.study)
    if known is None:
        return
    if known.data_hash != data.hash:
        raise UserError(
            f"study {space.study}: the data changed since it began: {data.name} has hash {data.hash[:12]} now, "
            f"{known.data_hash[:12]} then; put the old data back, or name another study with --set study=NAME"
        )
    different = differences(known.identity, identity(space, scale, data.hash))
    if different:
        raise UserError(
            f"study {space.study} exists with another space: {'; '.join(different)}; "
            "name another study with --set study=NAME, or another database with --storage"
        )
