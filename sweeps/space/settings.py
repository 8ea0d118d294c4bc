"""Values of the settings: those of the catalog, and the two that take more than a scalar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.catalog import SETTINGS
from sweeps.space.forms import Read, reader
from sweeps.space.problems import Report, shown


def setting_reader(name: str, folder: Path, report: Report) -> Read:
    """Checks values of a setting; paths are relative to `folder`."""
    if name == "image_size":
        return _image_size(report)
    if name == "pretrained":
        return _pretrained(folder, report)
    return reader(SETTINGS[name], report)


def _image_size(report: Report) -> Read:
    def read(raw: Any, key: str) -> Any:
        if isinstance(raw, list):
            if len(raw) != 2:
                report.add(key, f"expected one number or [width, height], found {shown(raw)}")
                return None
            problems = [SETTINGS["image_size"].problem(number) for number in raw]
            for number, problem in enumerate(problems):
                if problem:
                    report.add(f"{key}[{number}]", problem)
            return None if any(problems) else raw
        problem = SETTINGS["image_size"].problem(raw)
        if problem:
            report.add(key, problem, "write the longest side in pixels, or [width, height]")
            return None
        return raw

    return read


def _pretrained(folder: Path, report: Report) -> Read:
    def read(raw: Any, key: str) -> Any:
        if raw in ("none", "imagenet"):
            return raw
        expected = "expected none, imagenet or the path of a checkpoint"
        if not isinstance(raw, str):
            report.add(key, f"{expected}, found {shown(raw)}")
            return None
        path = (folder / Path(raw).expanduser()).resolve()
        if not path.is_file():
            report.add(key, f"{expected}, found {shown(raw)}, and there is no such file in {path.parent}")
            return None
        return str(path)

    return read
