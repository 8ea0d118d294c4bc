"""Values of the settings: those of the catalog, and the two that take more than a scalar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.catalog import SETTINGS
from runner.errors import UserError
from runner.named import named
from runner.sources import CATALOGED, MODEL_FILES, ZOO_SCHEMES, is_file_name, is_hub_id, is_url, url_problem
from sweeps.space.forms import Read, reader
from sweeps.space.problems import Report, nearest, shown


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
    """A word of the catalog, a path that exists, or the spelling of an address or a hub id; nothing is fetched."""
    expected = f"expected {', '.join(CATALOGED)}, or the path, URL or hub id of weights"

    def read(raw: Any, key: str) -> Any:
        if not isinstance(raw, str) or not raw.strip():
            report.add(key, f"{expected}, found {shown(raw)}")
            return None
        if raw in CATALOGED:
            return raw
        if is_url(raw):
            problem = url_problem(raw)
            if problem:
                report.add(key, f"expected {problem}, found {shown(raw)}")
            return None if problem else raw
        if raw.startswith(ZOO_SCHEMES):
            from runner.training.weights import WeightsError, zoo_url

            try:
                zoo_url(raw)
            except WeightsError as error:
                report.add(key, str(error))
                return None
            return raw
        if "://" in raw:
            report.add(key, f"{expected}, found {shown(raw)}", "write its http or https address")
            return None
        try:
            path = named(folder, raw).resolve()
        except UserError as error:
            report.add(key, str(error))
            return None
        if path.is_file() or _is_model(path):
            return str(path)
        if is_hub_id(raw) and not path.parent.is_dir():
            return raw
        _missing(path, raw, key, expected, report)
        return None

    return read


def _missing(path: Path, raw: str, key: str, expected: str, report: Report) -> None:
    if path.is_dir():
        why = f"and {path} is a folder without model.safetensors or pytorch_model.bin"
    else:
        why = f"and there is no such file in {path.parent}"
    word = "/" not in raw and not is_file_name(raw)
    report.add(key, f"{expected}, found {shown(raw)}, {why}", nearest(raw, CATALOGED) if word else None)


def _is_model(path: Path) -> bool:
    """Whether a folder holds a model as Hugging Face's tools save it."""
    return any((path / name).is_file() for name in MODEL_FILES)
