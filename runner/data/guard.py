"""Whether a worker's disk holds the very data that a study is about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from runner.data.files import allowing
from runner.errors import UserError
from runner.protocol import DataPaths

_HALVES = (("train_images", "train_annotations"), ("val_images", "val_annotations"))


def data_proof(data: DataPaths) -> str:
    """SHA-256 over both label files and over name and size in bytes of every image they name.

    Equal on two machines exactly where a training reads the same labels and images of the same sizes. Pictures
    themselves are not read: hashing 1 GB of them before the first trial would take longer than it is worth.

    Raises:
        UserError: a label file or an image is missing or cannot be read; the line names the first one.
    """
    digest = hashlib.sha256()
    for images, label_file in _HALVES:
        _add(digest, images, Path(getattr(data, images)), Path(getattr(data, label_file)))
    return digest.hexdigest()


def fingerprint(folder: Path, labels: Path) -> str:
    """The same of one set of images, such as those held out, which workers need not have.

    Raises:
        UserError: the label file or an image is missing or cannot be read.
    """
    digest = hashlib.sha256()
    _add(digest, "images", folder, labels)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, part: str, folder: Path, labels: Path) -> None:
    try:
        text = labels.read_bytes()
        names = sorted(str(entry["file_name"]) for entry in json.loads(text)["images"])
        digest.update(f"{part}:{hashlib.sha256(text).hexdigest()}\n".encode())
        for name in names:
            digest.update(f"{name}:{(folder / name).stat().st_size}\n".encode())
    except OSError as error:
        advice = f"; {found}" if (found := allowing(error)) else ""
        raise UserError(f"{error.filename}: {(error.strerror or str(error)).lower()}{advice}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{labels}: no COCO label file") from error


def moved(data: DataPaths, root: Path) -> DataPaths:
    """The data with its image folders below another root.

    Args:
        data: as the study has it; `root` takes the place of `data.root`.
        root: where the folder of the data file lies on this machine.

    Raises:
        UserError: an image folder is not below the data file's folder, so nobody can say where it is here.
    """
    found: dict[str, str] = {}
    for images, _ in _HALVES:
        path = PurePosixPath(getattr(data, images))
        if not data.root or not path.is_relative_to(data.root):
            raise UserError(
                f"data {data.name}: its images lie in {path}, outside the data file's folder {data.root or '?'}; "
                "mount them there on this machine too, or start the study from a data file above them"
            )
        found[images] = str(root.absolute() / path.relative_to(data.root))
    return data.model_copy(update=found)


def root_for(study: str, roots: Mapping[str, Path]) -> Path | None:
    """The root that ``--data-root`` gave for a study: its own, else the one for all (key ``""``)."""
    return roots.get(study, roots.get(""))
