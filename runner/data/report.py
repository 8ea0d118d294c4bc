"""Checks everything a data file names: label files, pictures, and how the parts fit together."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.data import coco
from runner.data.datafile import DataFile, LabelledImages, Split
from runner.data.files import BrokenPictureError, list_pictures, picture_size, unreadable
from runner.data.image_checks import listed
from runner.data.labels import Labels
from runner.data.split import taken
from runner.errors import Problem, UserError

_SETS = {"train": "training", "val": "validation"}
_ENTRY = re.compile(r"\[\d+\]")
_NAMED = re.compile(r"^annotation .*? of .*?: |(?<=^no such picture: ).*|^.*(?= cannot be read: )")
# (what is being done, how much of it is done, out of)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Finding:
    """A problem and the file it is in."""

    part: str
    file: Path
    problem: Problem

    def text(self) -> str:
        """``file: key: message; suggestion`` in one line."""
        problem = self.problem
        where = f"{self.file}: {problem.key}: " if problem.key else f"{self.file}: "
        return where + problem.message + (f"; {problem.suggestion}" if problem.suggestion else "")

    @property
    def kind(self) -> tuple[object, ...]:
        """Equal for what is wrong in the same way with several images or annotations."""
        message = _NAMED.sub("", self.problem.message)
        return self.part, self.file, _ENTRY.sub("[]", self.problem.key), message, self.problem.fatal


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        labels: part (``train``, ``val``, ``holdout``, ``test``) -> its checked label file, where it has one.
        images: part -> ids of its images; those of a split come from the training labels.
        findings: problems in all files, fatal ones first.
    """

    data: DataFile
    labels: dict[str, Labels]
    images: dict[str, frozenset[int]]
    findings: list[Finding]

    @property
    def fatal(self) -> list[Finding]:
        """Findings that a training would fail at, or that would make its score lie."""
        return [finding for finding in self.findings if finding.problem.fatal]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names to learn, in the order of the label files."""
        return self.labels["train"].classes


def check_data(data: DataFile, progress: Progress | None = None) -> Report:
    """Check all label files and pictures of a data file."""
    labels, findings = {}, []
    for part, (images, path) in _label_files(data).items():
        told = None if progress is None else _named(progress, f"checking {part}")
        labels[part] = coco.check(path, images, data.classes, told)
        findings += [Finding(part, path, problem) for problem in labels[part].problems]
    found = {part: frozenset(checked.names) for part, checked in labels.items()}
    for part, split in (("holdout", data.holdout), ("val", data.val)):
        if not isinstance(split, Split):
            continue
        try:
            found[part] = taken(labels["train"], split, part, found["train"] if "holdout" in found else None)
            found["train"] -= found[part]
        except UserError as error:
            if not any(finding.problem.fatal for finding in findings):  # else that is the reason
                findings.append(Finding(part, data.train.annotations, Problem("", str(error))))
    findings += _leaks(labels)
    if data.test and "test" not in labels:
        findings += _test_pictures(data.test.images)
    findings.sort(key=lambda finding: not finding.problem.fatal)
    return Report(data, labels, found, findings)


def _label_files(data: DataFile) -> dict[str, tuple[Path, Path]]:
    files = {"train": (data.train.images, data.train.annotations)}
    if isinstance(data.val, LabelledImages):
        files["val"] = (data.val.images, data.val.annotations)
    if isinstance(data.holdout, LabelledImages):
        files["holdout"] = (data.holdout.images, data.holdout.annotations)
    if data.test and data.test.annotations:
        files["test"] = (data.test.images, data.test.annotations)
    return files


def _leaks(labels: dict[str, Labels]) -> list[Finding]:
    """What is wrong with sound label files together: other classes, or images that are in two of them."""
    findings = []
    for part, others in (("val", ("train",)), ("holdout", ("train", "val"))):
        if part not in labels:
            continue
        for other in others:
            if other in labels:
                problems = _between(labels[other], labels[part], _SETS[other], copies=part == "holdout")
                findings += [Finding(part, labels[part].path, problem) for problem in problems]
    return findings


def _between(known: Labels, new: Labels, name: str, copies: bool) -> list[Problem]:
    """What is wrong with two label files.

    Args:
        known: whose images must not come again.
        new: where they are looked for.
        name: what `known` is, for messages.
        copies: whether a picture of equal bytes under another name is the same picture.
    """
    problems = []
    if name == _SETS["train"] and known.classes and new.classes and known.classes != new.classes:
        # MMDetection numbers the classes in the order of each file
        message = f"classes {', '.join(new.classes)} here, {', '.join(known.classes)} in {known.path}"
        problems.append(Problem("categories", message, "list the same categories in the same order"))
    pictures = {(known.images / file).resolve() for file in known.names.values()}
    both = {file for file in new.names.values() if (new.images / file).resolve() in pictures}
    if copies:
        both |= _copied(pictures, new)
    if both:
        count = f"{len(both)} image{'s' * (len(both) > 1)}"
        message = f"{count} also in the {name} set, so the score would lie: {listed(sorted(both))}"
        problems.append(Problem("images", message, "take them out of one of the two"))
    return problems


def _copied(pictures: set[Path], new: Labels) -> set[str]:
    """Images of a label file that have the very bytes of one of the pictures; only equal sizes are read."""
    by_size: dict[int, list[Path]] = {}
    for path in filter(Path.is_file, pictures):
        by_size.setdefault(path.stat().st_size, []).append(path)
    found = set()
    for file in new.names.values():
        path = new.images / file
        alike = by_size.get(path.stat().st_size, []) if path.is_file() else []
        if any(filecmp.cmp(path, other, shallow=False) for other in alike):
            found.add(file)
    return found


def _test_pictures(folder: Path) -> list[Finding]:
    problems = []
    try:
        pictures = list_pictures(folder)
    except OSError as error:
        return [Finding("test", folder, Problem("", *unreadable(error), fatal=False))]
    for path in pictures:
        try:
            picture_size(path)
        except BrokenPictureError as error:
            problems.append(Problem(path.name, str(error), "copy or download it again", fatal=False))
        except OSError as error:
            problems.append(Problem(path.name, *unreadable(error), fatal=False))
    if not pictures:
        problems.append(Problem("", "holds no picture", fatal=False))
    return [Finding("test", folder, problem) for problem in problems]


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, in_all: progress(what, done, in_all)
