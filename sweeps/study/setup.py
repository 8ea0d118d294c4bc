"""From a checked space to a study: which scale, which data, which identity."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import platformdirs

from results.records import StudyRecord
from results.store import Store
from runner.adapt import adapt, detections, image_size
from runner.catalog import PARTS
from runner.data.demo import demo_data
from runner.data.prepare import prepare
from runner.errors import UserError
from runner.protocol import DataPaths, Plugin, Scale
from runner.userparts import load_all
from sweeps.space import travel
from sweeps.space.datafile import read_data_file
from sweeps.space.document import read
from sweeps.space.exclusion import Assignment, first_allowed
from sweeps.space.identity import differences, identity
from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors, SpaceProblem
from sweeps.space.resolve import resolve
from sweeps.space.schema import Choice, SearchSpace
from sweeps.space.walk import Given, first, suggest

RENAME = "name another study with --set study=NAME"
_MOST_PARTS = 400  # combinations of names whose configs are looked at
Tell = Callable[[str, int, int], None]  # (what is done, how much, of how much)


class Studies(Protocol):
    """Whatever knows studies: a database, or a server."""

    def study(self, name: str) -> StudyRecord | None:
        """The study of that name, None if there is none."""


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
    return prepare(read_data_file(path), folder, tell)


def load_space(
    path: Path, overrides: Sequence[str], data: Path | None, wanted: str | None, gpus: int
) -> tuple[SearchSpace, Scale]:
    """Reads a space and checks all of it that needs no data.

    Args:
        path: the YAML file.
        overrides: texts of ``--set``.
        data: of ``--data``.
        wanted: the scale of ``--scale``.
        gpus: how many there are here, which ``auto`` goes by.

    Raises:
        SpaceErrors: every mistake in it; those in paths under ``config`` only where there are no others.
    """
    space = load(path, overrides, data, lambda space: choose_scale(space, wanted, gpus))
    scale = choose_scale(space, wanted, gpus)
    check_config(space, scale)
    return space, scale


def check_config(space: SearchSpace, scale: Scale) -> None:
    """Checks that every path under ``config`` is in the rendered config of whatever can be chosen.

    Looked at are every model with every backbone, and every other name of the space once.
    Loads mmengine (seconds), and only if the space has such paths.

    Raises:
        SpaceErrors: for each path that is not.
    """
    if not space.config:
        return
    from runner.render import unknown_paths

    problems: dict[str, SpaceProblem] = {}
    for chosen in itertools.islice(_covering(space), _MOST_PARTS):
        combination, _ = resolve(space, suggest(space, Given(chosen)), scale, n_train=100)
        for path, message in unknown_paths(combination, scale).items():
            names = f"{combination.model.name} with {combination.backbone.name}"
            key = f"config.{path}"
            problems.setdefault(path, SpaceProblem(*space.place(key), key, f"{names}: {message}"))
    if problems:
        raise SpaceErrors(list(problems.values()))


def _covering(space: SearchSpace) -> Iterator[Assignment]:
    """Allowed choices of parts: every model with every backbone, and every other name."""
    labels = {part: form.labels for part, form in space.search.items() if part in PARTS and isinstance(form, Choice)}
    shaping = [part for part in ("model", "backbone") if part in labels]
    pairs = itertools.product(*(labels[part] for part in shaping))
    rows: list[Assignment] = [dict(zip(shaping, pair, strict=True)) for pair in pairs]
    rows += [{part: label} for part in labels if part not in shaping for label in labels[part]]
    for row in rows:
        chosen = first_allowed(space, {part: [label] for part, label in row.items()})
        if chosen is not None:
            yield chosen


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
        ClaimedError: another server has it; nothing was changed.
    """
    budget = asdict(space.budget)
    text = travel.to_text(travel.document(space, scale))
    known = store.study(space.study)
    if known is None:
        fitted = fit(space, scale, data)
        moment = datetime.now(UTC)
        record = StudyRecord(
            name=space.study, state="running", objective=space.objective.metric, at=space.objective.at,
            scale=scale, identity=identity(space, scale, data.hash), space_text=text,
            data=data.model_dump(mode="json"), data_hash=data.hash,
            detections=fitted.detections, adapted=fitted.adapted,
            work_dir=str(work_dir.absolute()), budget=budget, created_at=moment, started_at=moment,
        )  # fmt: skip
        store.claim(space.study)
        store.add_study(record)
        return record
    check_identity(store, space, scale, data)
    store.claim(space.study)  # before anything changes: another server may run it
    store.touch_study(space.study, state="running", budget=budget, started_at=datetime.now(UTC), space_text=text)
    found = store.study(space.study)
    assert found
    return found


def reopened(record: StudyRecord, folder: Path, own: bool = True) -> SearchSpace:
    """The space of a study that the database holds.

    Args:
        record: the study.
        folder: takes a copy of the space as a file.
        own: whether the record comes from a database of this machine's. A server never says which file is run here.

    Raises:
        UserError: it was begun by another version, or its plugins have changed; those that have do not run. It has
            plugins, and is not our own.
    """
    path = travel.keep(record.space_text, folder / "space.yaml")
    known = record.identity.get("plugins") or {}
    files = {Path(file).stem: file for file in read(path).data.get("plugins", [])}
    if set(files) != set(known):
        raise UserError("its space names other plugins than it began with")
    if files and not own:
        raise UserError(
            f"study {record.name} brings code of its own ({', '.join(files)}), which is not run on a server's word: "
            "do this where the database lies"
        )
    load_all(Plugin(path=file, sha256=known[module]) for module, file in files.items())
    space = load(path, ["data=demo"], scale=lambda _: record.scale)  # its data may lie elsewhere now
    different = differences(record.identity, identity(space, record.scale, record.data_hash))
    if different:
        raise UserError(f"its space reads otherwise today: {'; '.join(different)}")
    return space


def check_identity(store: Studies, space: SearchSpace, scale: Scale, data: DataPaths, rename: str = RENAME) -> None:
    """Checks that a study of this name, where there is one, is about the same.

    Args:
        store: where studies are.
        space: what is started now.
        scale: what it is started at.
        data: what it is started with.
        rename: how to begin another one instead.

    Raises:
        UserError: it is not; the line says what differs.
    """
    known = store.study(space.study)
    if known is None:
        return
    if known.data_hash != data.hash:
        raise UserError(
            f"study {space.study}: the data changed since it began: {data.name} has hash {data.hash[:12]} now, "
            f"{known.data_hash[:12]} then; put the old data back, or {rename}"
        )
    different = differences(known.identity, identity(space, scale, data.hash))
    if different:
        raise UserError(
            f"study {space.study} exists with another space: {'; '.join(different)}; "
            f"{rename}, or another database with --storage"
        )
