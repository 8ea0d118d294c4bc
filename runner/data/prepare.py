"""From a data file to what a training reads: label files MMDetection takes as they are, and a hash of all."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from runner.data import files, statistics
from runner.data.datafile import DataFile, LabelledImages, Split
from runner.data.guard import data_proof, fingerprint
from runner.data.labels import Labels
from runner.data.report import Progress, Report, check_data
from runner.data.split import part_of
from runner.errors import UserError
from runner.protocol import DataPaths, Holdout


def prepare(data: DataFile, folder: Path, progress: Progress | None = None) -> DataPaths:
    """Check the data and write the label files that training needs beyond those that exist.

    Files are written when ``val`` or ``holdout`` is a split, or where labels lack what MMDetection wants and pictures
    and masks give (image sizes, areas, boxes, ``iscrowd``). Their names hold the hash: other data, other file.

    Args:
        data: a checked data file.
        folder: where label files are written; made when needed.
        progress: called with (what is done, how much, of how much).

    Raises:
        UserError: the data has a fatal problem, or a file cannot be written.
    """
    report = check_data(data, progress)
    if report.fatal:
        raise UserError(_first(report, data))
    train = report.labels["train"]
    val = train if isinstance(data.val, Split) else report.labels["val"]
    name = data_hash(data, report)
    sizes = Counter(train.sizes[image] for image in report.images["train"])
    both = [*_counts(train, report.images["train"]), *_counts(val, report.images["val"])]
    images = report.images["train"] | (report.images["val"] if val is train else frozenset())
    objects = [instance for found in statistics.by_image(train, images).values() for instance in found]
    try:
        train_file = _label_file(train, report.images["train"], folder / f"train-{name[:12]}.json")
        val_file = _label_file(val, report.images["val"], folder / f"val-{name[:12]}.json")
        holdout = _holdout(report, folder, name)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from error
    paths = DataPaths(
        name=data.name,
        hash=name,
        classes=report.classes,
        train_images=str(train.images.absolute()),
        train_annotations=str(train_file.absolute()),
        val_images=str(val.images.absolute()),
        val_annotations=str(val_file.absolute()),
        # of equally common sizes the largest, so that the order of the images does not matter
        sizes=max(sizes, key=lambda size: (sizes[size], size)),
        n_train=len(report.images["train"]),
        n_val=len(report.images["val"]),
        max_instances=max(both),
        object_sizes=statistics.percentiles(statistics.object_sizes(objects)),
        labels=(_sha256(train_file), _sha256(val_file)),
        root=str(data.path.parent.absolute()) if data.path else "",
        holdout=holdout,
    )
    return paths.model_copy(update={"check": data_proof(paths)})


def _holdout(report: Report, folder: Path, name: str) -> Holdout | None:
    """The images that are held out, with a label file of their own; nothing that a trial is fitted to counts them."""
    images = report.images.get("holdout")
    if not images:
        return None
    labels = report.labels.get("holdout", report.labels["train"])
    file = _label_file(labels, images, folder / f"holdout-{name[:12]}.json")
    where = str(labels.images.absolute()), str(file.absolute())
    return Holdout(images=where[0], annotations=where[1], count=len(images), check=fingerprint(*map(Path, where)))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_hash(data: DataFile, report: Report) -> str:
    """SHA-256 over label files, names and sizes in bytes of the labelled images, splits and classes.

    Paths do not count: data moved as a whole is the same data.
    """
    digest = hashlib.sha256()
    parts = {"train": data.train, "val": data.val, "holdout": data.holdout}
    for name, part in parts.items():
        if isinstance(part, Split):
            # as versions wrote it that knew no other split
            digest.update(f"{'' if name == 'val' else name}split:{part.share!r}:{part.seed}\n".encode())
        if not isinstance(part, LabelledImages):
            continue
        digest.update(f"{name}:{hashlib.sha256(part.annotations.read_bytes()).hexdigest()}\n".encode())
        for image in sorted(report.labels[name].names.values()):
            digest.update(f"{image}:{(part.images / image).stat().st_size}\n".encode())
    digest.update(f"classes:{'|'.join(report.classes)}\n".encode())
    return digest.hexdigest()


def _counts(labels: Labels, images: frozenset[int]) -> list[int]:
    return [len(found) for found in statistics.by_image(labels, images).values()]


def _label_file(labels: Labels, images: frozenset[int], path: Path) -> Path:
    """The label file itself where it serves as it is, else one written to ``path``."""
    whole = images == frozenset(labels.names)
    marked = labels.path.read_bytes().startswith(b"\xef\xbb\xbf")  # a byte order mark: MMDetection's reader stops at it
    if whole and not labels.incomplete and not marked:
        return labels.path
    document = labels.document if whole else part_of(labels.document, images)
    files.write_json(path, complete(document, labels))
    return path


def complete(document: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """The document with image sizes, areas, boxes and ``iscrowd`` filled in where they are missing."""
    from runner.data import masks

    sound = {labels.document["annotations"][instance.index]["id"]: instance for instance in labels.instances}

    def image(entry: dict[str, Any]) -> dict[str, Any]:
        width, height = labels.sizes[entry["id"]]
        return entry | {"width": width, "height": height}

    def annotation(entry: dict[str, Any]) -> dict[str, Any]:
        known = {key: value for key, value in entry.items() if value is not None}
        instance = sound[entry["id"]]
        given = {"area": float(masks.areas([instance.rle])[0]), "bbox": list(instance.box), "iscrowd": 0}
        return given | known

    kept = [entry for entry in document["annotations"] if entry["id"] in sound]
    return document | {
        "images": [image(entry) for entry in document["images"]],
        "annotations": [annotation(entry) for entry in kept],
    }


def _first(report: Report, data: DataFile) -> str:
    more = len(report.fatal) - 1
    others = f"{more} more problem{'s' * (more > 1)}, " if more else ""
    return f"{report.fatal[0].text()} ({others}run: sweep data check {data.path or 'FILE'})"
