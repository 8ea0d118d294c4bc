"""From a checked space to a study: which scale, which data, which identity."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from results.records import StudyRecord
from results.store import Store
from runner.adapt import adapt, detections, image_size
from runner.data.datafile import parse
from runner.data.demo import demo_data
from runner.data.prepare import prepare
from runner.errors import UserError
from runner.protocol import DataPaths, Scale
from sweeps.space.document import read
from sweeps.space.identity import differences, identity
from sweeps.space.problems import SpaceErrors, SpaceProblem
from sweeps.space.resolve import resolve
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import assignments, count, first

Tell = Callable[[str, int, int], None]  # (what is done, how much, of how much)


def choose_scale(space: SearchSpace, wanted: str | None, gpus: int) -> Scale:
    """The scale asked for; `auto` is standard with a GPU and tiny without one."""
    scale = wanted if wanted not in (None, "auto") else space.scale
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
    described, problems = parse(document.data, path.absolute().parent)
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
    candidates = itertools.islice(assignments(space), 1000) if count(space) is not None else [first(space)]
    seen: set[tuple[str, str]] = set()
    for assignment in candidates:
        combination, _ = resolve(space, assignment, scale, n_train=100)
        names = (combination.model.name, combination.optimizer.name)
        if names in seen:
            continue
        seen.add(names)
        for path, message in unknown_paths(combination, scale).items():
            problems[path] = SpaceProblem(*space.places[path], f"config.{path}", f"{names[0]}: {message}")
    if problems:
        raise SpaceErrors(list(problems.values()))


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
    wanted = identity(space, scale, data.hash)
    budget = asdict(space.budget)
    known = store.study(space.study)
    if known is None:
        fitted = fit(space, scale, data)
        moment = datetime.now(UTC)
        record = StudyRecord(
            name=space.study, state="running", objective=space.objective.metric, at=space.objective.at,
            scale=scale, identity=wanted, space_text=space.text, data=data.model_dump(mode="json"),
            data_hash=data.hash, detections=fitted.detections, adapted=fitted.adapted,
            work_dir=str(work_dir.absolute()), budget=budget, created_at=moment, started_at=moment,
        )  # fmt: skip
        store.add_study(record)
        return record
    if known.data_hash != data.hash:
        raise UserError(
            f"study {space.study}: the data changed since it began: {data.name} has hash {data.hash[:12]} now, "
            f"{known.data_hash[:12]} then; put the old data back, or name another study with --set study=NAME"
        )
    different = differences(known.identity, wanted)
    if different:
        raise UserError(
            f"study {space.study} exists with another space: {'; '.join(different)}; "
            "name another study with --set study=NAME, or another database with --storage"
        )
    store.touch_study(space.study, state="running", budget=budget, started_at=datetime.now(UTC))
    found = store.study(space.study)
    assert found
    return found
