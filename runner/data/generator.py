"""Generates a data set of particles in a fluid, with COCO masks, as a data file describes it.

Every picture comes from (seed, split, index) alone: more pictures, or another share of unlabelled particles,
leave the earlier pictures as they are. A mask is the part of its particle that is seen: where a later
particle lies over an earlier one, the earlier one's mask stops.
"""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.data import files
from runner.data.instances import Instance, coco, instance_of
from runner.errors import UserError
from runner.paths import replace_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLITS = ("train", "val", "test", "holdout")  # a split draws by its place: new ones go last
SIZE = (1024, 1280)
UNLABELLED = 0.1
DENSITY = 26.0

Progress = Callable[[int, int], None]


def write_dataset(
    folder: Path,
    images: int,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
    unlabelled: float = UNLABELLED,
    density: float = DENSITY,
    *,
    view: float = 1.0,
    val: int | None = None,
    test: int | None = None,
    holdout: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write ``data.yaml``, the pictures and the label files of a generated data set; all of it or nothing.

    ``SPLIT_truth.json`` holds every visible particle with a key ``labelled``; ``train.json``, ``val.json`` and
    ``holdout.json`` hold the labelled ones. The test pictures have their truth only.

    Args:
        folder: where; must not exist or be empty.
        images: training pictures.
        size: (height, width) in pixels; a smaller picture shows the same kind of scene shrunk.
        seed: same seed, same pictures.
        unlabelled: share of the visible particles that the label files leave out.
        density: mean number of particles a picture of the whole scene.
        view: share of the scene that a picture shows: 0.1 are a tenth of its particles, each ten times as large
            in area as in a picture of the same size that shows it whole.
        val, test, holdout: how many pictures; default a quarter of ``images``, at least 2.
        progress: called with (pictures done, pictures in all) after each picture.

    Returns:
        The path of ``data.yaml``.

    Raises:
        UserError: an argument out of range, a folder with something in it, or one that cannot be written.
    """
    given = {"val": val, "test": test, "holdout": holdout}
    counts = {"train": images, **{split: _quarter(images, count) for split, count in given.items()}}
    _check(counts, size, seed, unlabelled, density, view)
    try:
        _refuse_filled(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        try:
            done = 0
            for split, count in counts.items():
                entries: list[dict[str, Any]] = []
                found: list[tuple[int, Instance]] = []
                for index in range(count):
                    picture, instances = generate(size, seed, split, index, unlabelled, density, view)
                    name = f"{split}_{index:05d}.png"
                    files.write_picture(part / split / name, picture)
                    entries.append({"id": index + 1, "file_name": name, "height": size[0], "width": size[1]})
                    found += [(index + 1, instance) for instance in instances]
                    done += 1
                    if progress:
                        progress(done, sum(counts.values()))
                files.write_json(part / f"{split}_truth.json", coco(entries, found, complete=True))
                if split != "test":
                    files.write_json(part / f"{split}.json", coco(entries, found, complete=False))
            replace_with(part / "data.yaml", _data_file(folder.name, counts, size, seed, unlabelled))
            part.chmod(0o755)  # mkdtemp gives 0700, but a team shares its data
            part.replace(folder)  # an empty folder of that name is replaced, a filled one refuses
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and folder.is_dir():
            raise UserError(f"{folder} was filled meanwhile; name a new folder") from error
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder / "data.yaml"


def generate(
    size: tuple[int, int],
    seed: int,
    split: str,
    index: int,
    unlabelled: float = UNLABELLED,
    density: float = DENSITY,
    view: float = 1.0,
) -> tuple[NDArray[np.uint8], list[Instance]]:
    """One picture (height, width), 8-bit grey, and its visible particles."""
    import numpy as np

    from runner.data.camera import photograph
    from runner.data.scene import draw_scene

    height, width = size
    zoom = (height * width / (1024 * 1280 * view)) ** 0.5
    stream = [seed, SPLITS.index(split), index]
    rng = np.random.default_rng([*stream, 0])
    scene = draw_scene(rng, height / zoom, width / zoom, density)
    picture, owner = photograph(scene, height, width, rng)
    # a stream of its own: another share leaves the picture as it is
    lots = np.random.default_rng([*stream, 1]).random(len(scene.particles))
    found = [instance_of(owner == number, bool(lot >= unlabelled)) for number, lot in enumerate(lots, start=1)]
    return picture, [instance for instance in found if instance]


def _data_file(name: str, counts: dict[str, int], size: tuple[int, int], seed: int, unlabelled: float) -> str:
    return (
        f"# Generated particles in a fluid: {counts['train']} training, {counts['val']} validation,"
        f" {counts['test']} test and {counts['holdout']} held-out pictures of {size[0]} x {size[1]}, seed {seed}.\n"
        f"# A share of {unlabelled:g} of the visible particles has no label; SPLIT_truth.json has them all.\n"
        f"name: {json.dumps(name, ensure_ascii=False)}\n"
        "train: {images: train, annotations: train.json}\n"
        "val: {images: val, annotations: val.json}\n"
        "holdout: {images: holdout, annotations: holdout.json}\n"
        "test: {images: test}\n"
        "classes: [Normal]\n"
    )


def _quarter(images: int, given: int | None) -> int:
    return max(2, images // 4) if given is None else given


def _check(
    counts: dict[str, int], size: tuple[int, int], seed: int, unlabelled: float, density: float, view: float
) -> None:
    if min(counts.values()) < 1:
        raise UserError(f"at least 1 picture of each kind is generated, not {min(counts.values())}")
    if min(size) < 64 or max(size) > 16384:
        raise UserError(f"pictures of {size[0]}x{size[1]}: height and width must lie between 64 and 16384 pixels")
    if seed < 0:
        raise UserError(f"the seed must be 0 or more, not {seed}")
    if not 0 <= unlabelled < 1:
        raise UserError(f"the unlabelled share must be 0 or more and less than 1, not {unlabelled:g}")
    if not 0 < density <= 200:
        raise UserError(f"the density must be more than 0 and at most 200 particles a picture, not {density:g}")
    if not 0 < view <= 1:
        raise UserError(f"the share of the scene in view must be more than 0 and at most 1, not {view:g}")


def _refuse_filled(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder that does not exist yet")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; name a new folder, or empty this one first")
