"""The demo data: particles generated once into a folder of the user's."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from runner.data.generator import Progress, write_dataset
from runner.paths import cached
from runner.protocol import Scale

VERSION = 2  # rises when the generator draws other pictures, so that old ones are not taken for new
SEED = 0


@dataclass(frozen=True)
class DemoSize:
    """How many pictures of which (height, width) the demo of a scale has."""

    train: int
    val: int
    test: int
    holdout: int
    size: tuple[int, int]


SIZES: dict[Scale, DemoSize] = {
    "tiny": DemoSize(40, 16, 4, 16, (256, 320)),
    "standard": DemoSize(60, 30, 10, 30, (1024, 1280)),
}


def demo_data(folder: Path, scale: Scale, progress: Progress | None = None) -> Path:
    """Path of the demo's ``data.yaml`` for a scale; generates it below ``folder`` the first time.

    Two processes that ask at once get the same one: the second waits for the first.

    Raises:
        UserError: the folder cannot be written.
    """
    from filelock import FileLock

    target = folder / f"particles-{scale}-{VERSION}"
    if (target / "data.yaml").is_file():
        return target / "data.yaml"
    with cached(folder), FileLock(folder / f"{target.name}.lock"):
        if not (target / "data.yaml").is_file():
            # what lies there without a data file is what somebody left of an old one
            shutil.rmtree(target, ignore_errors=True)
            demo = SIZES[scale]
            counts = {"val": demo.val, "test": demo.test, "holdout": demo.holdout}
            write_dataset(target, demo.train, demo.size, SEED, **counts, progress=progress)
    return target / "data.yaml"
