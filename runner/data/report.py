"""Checks everything a data file names: label files, pictures, and how the parts fit together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.data import coco
from runner.data.datafile import DataFile, LabelledImages, Split
from runner.data.files import BrokenPictureError, list_pictures, picture_size
from runner.data.image_checks import listed
from runner.data.labels import Labels
from runner.data.split import validation_images
from runner.errors import Problem, UserError

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


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        labels: part (``train``, ``val``, ``test``) -> its checked label file, where it has one.
        images: part -> ids of its images; with a split both parts come from the training labels.
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
    if isinstance(data.val, Split):
        try:
            found["val"] = validation_images(labels["train"], data.val)
            found["train"] -= found["val"]
        except UserError as error:
            if not any(finding.problem.fatal for finding in findings):  # else that is the reason
                findings.append(Finding("val", data.train.annotations, Problem("", str(error))))
    else:
        findings += _between(labels["train"], labels["val"])
    if data.test and "test" not in labels:
        findings += _test_pictures(data.test.images)
    findings.sort(key=lambda finding: not finding.problem.fatal)
    return Report(data, labels, found, findings)


def _label_files(data: DataFile) -> dict[str, tuple[Path, Path]]:
    files = {"train": (data.train.images, data.train.annotations)}
    if isinstance(data.val, LabelledImages):
        files["val"] = (data.val.images, data.val.annotations)
    if data.test and data.test.annotations:
        files["test"] = (data.test.images, data.test.annotations)
    return files


def _between(train: Labels, val: Labels) -> list[Finding]:
    """What is wrong with two sound label files together."""
    problems = []
    if train.classes and val.classes and train.classes != val.classes:
        # MMDetection numbers the classes in the order of each file
        message = f"classes {', '.join(val.classes)} here, {', '.join(train.classes)} in {train.path}"
        problems.append(Problem("categories", message, "list the same categories in the same order"))
    pictures = {(train.images / name).resolve() for name in train.names.values()}
    if both := sorted(name for name in val.names.values() if (val.images / name).resolve() in pictures):
        count = f"{len(both)} image{'s' * (len(both) > 1)}"
        message = f"{count} also in the training set, so the score would lie: {listed(both)}"
        problems.append(Problem("images", message, "take them out of one of the two"))
    return [Finding("val", val.path, problem) for problem in problems]


def _test_pictures(folder: Path) -> list[Finding]:
    problems = []
    for path in list_pictures(folder):
        try:
            picture_size(path)
        except BrokenPictureError as error:
            problems.append(Problem(path.name, str(error), "copy or download it again", fatal=False))
    if not list_pictures(folder):
        problems.append(Problem("", "holds no picture", fatal=False))
    return [Finding("test", folder, problem) for problem in problems]


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, in_all: progress(what, done, in_all)
